"""The store: claims a second and how long they take, and what three replicas make of the upstream's windows together."""
import contextlib
import itertools
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

from . import callers, jobs, measure, report, tools

CALLERS = 64
# A replica's callers, where the upstream's window is what bounds them.
WAITING = 16
TEARS = '{"participants":[{"id":"%s","purpose":"agent"},{"id":"%s","purpose":"customer"}],"id":"%s"}'
# A user's configuration: everything by default, except that the log goes into a file of the bench.
USUAL = {"AUDIT__TARGET": "store", "STORE__TIMEOUT": "500ms", "TELEMETRY__LOG_LEVEL": "warn"}


def keys(hangup, folder, count):
    """Keys for this many callers, and the keys file of the service."""
    made = [subprocess.run([hangup, "key", "new", f"caller-{n}"], capture_output=True, text=True, check=True) for n in range(count)]
    file = Path(folder) / "keys.toml"
    file.write_text("\n".join(one.stdout for one in made))
    return file, [next(word for word in one.stderr.split() if word.startswith("hk_")) for one in made]


def port(url):
    return int(url.rsplit(":", 1)[1])


def people(sandbox, count):
    """This many conversations of an agent and a customer: the conversation, and its agent."""
    made = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(count)]
    specs = (callers.request("POST", "/sandbox/conversations", (TEARS % (agent, uuid.uuid4(), conversation)).encode()) for conversation, agent in made)

    def take(_, answer):
        if answer.status not in (200, 201):
            raise measure.Untrue(f"no conversation: {answer}")

    callers.drive([port(sandbox)], 8, lambda _: next(specs, None), take)
    return made


def effects(running):
    return running.totals()["effects"]


def counted(running, name):
    found = re.search(rf"^{name} (\d+)", jobs.call(f"{running.admin}/metrics"), re.M)
    return int(found[1]) if found else 0


def claimed(hangup, count, engine, store=None):
    """Each request names an agent by its purpose, every second one with an `Idempotency-Key`, and makes a claim of its own."""
    with contextlib.ExitStack() as ends:
        file, known = keys(hangup, ends.enter_context(tempfile.TemporaryDirectory(prefix="hangup-keys-")), CALLERS)
        running = ends.enter_context(jobs.stack(hangup, store=store, settings=USUAL | {"AUTH__KEYS_FILE": file}))
        select(running, people(running.sandbox, count // 10), known)
        agents = people(running.sandbox, count)
        made, ended, began = counted(running, "hangup_claims_made_total"), effects(running), time.perf_counter()
        times = select(running, agents, known)
        took = time.perf_counter() - began
        # The effect comes after the 202.
        time.sleep(0.5)
        found = counted(running, "hangup_claims_made_total") - made, effects(running) - ended
        if found != (count, count):
            raise measure.Untrue(f"{count} requests made {found[0]} claims and {found[1]} participants left")
    median, p99 = callers.percentiles([1000 * one for one in times])
    return [[f"claims a second, {engine}", f"{count / took:,.0f}", f"{count:,} selectors of {CALLERS} callers in {took:.1f} s; p50 {median:.1f} ms, p99 {p99:.1f} ms"]]


def select(running, agents, known):
    """Disconnects these agents by selector, each of which must be the one that is answered. The times of the answers."""
    left, asked, times = iter(agents), {}, []

    def next_request(number):
        if (one := next(left, None)) is None:
            return None
        asked[number] = one
        again = f"Idempotency-Key: {uuid.uuid4()}\r\n" if number % 2 else ""
        headers = f"X-API-Key: {known[number]}\r\nContent-Type: application/json\r\n{again}"
        return callers.request("POST", f"/conversations/{one[0]}/participants/disconnect", b'{"purpose":"agent"}', headers)

    def take(number, answer):
        agent = f'"participantId":"{asked[number][1]}"'.encode()
        if answer.status != 200 or b'"outcome":"all"' not in answer.body or b'"matched":1,' not in answer.body or agent not in answer.body:
            raise measure.Untrue(f"not the agent {asked[number]}: {answer.status} {answer.body[:900]!r}")
        times.append(answer.took)

    callers.drive([port(running.service)], CALLERS, next_request, take)
    return times


class Fleet:
    """Replicas of one store whose callers always have a participant to disconnect, so that only the upstream's window limits them."""

    def __init__(self, hangup, store, size, window, shared):
        self.hangup, self.store, self.size, self.window, self.shared = hangup, store, size, window, shared

    def measure(self, windows):
        """Disconnects while this many windows of each replica pass, with the 429s among the upstream's answers."""
        allowed, length = self.window
        with jobs.stack(self.hangup, window=self.window, store=self.store, settings=USUAL) as running:
            jobs.call(f"{running.sandbox}/sandbox/settings", {"rate_shared": self.shared}, "PATCH")
            replicas = [running.service] + [running.another() for _ in range(self.size - 1)]
            # Until each has seen the others.
            time.sleep(4)
            self.gone = [[] for _ in replicas]
            self.run(running, [port(one) for one in replicas], allowed, length, windows)
            totals = running.totals()
        together = [sorted(itertools.chain(*self.gone))] if self.shared else self.gone
        spans = [self.span(one, length, windows) for one in together]
        rate = sum(count / span for count, span in spans)
        calls = sum(count for status, count in totals["by_status"].items() if status in ("202", "429"))
        return {"rate": rate, "share": rate * length / allowed, "refused": totals["by_status"].get("429", 0), "calls": calls}

    def run(self, running, ports, allowed, length, windows):
        """Callers at all replicas. A caller that gets `Retry-After` returns after that time."""
        # A window begins with its first call, a margin of about a second after the one before is over.
        end = time.perf_counter() + (windows + 0.5) * (length + 1.5)
        left = iter(people(running.sandbox, (windows + 1) * allowed * (1 if self.shared else self.size) + WAITING * self.size))
        asked = {}

        def next_request(number):
            if time.perf_counter() > end or (one := next(left, None)) is None:
                return None
            asked[number] = one
            return callers.request("POST", "/conversations/%s/participants/%s/disconnect" % one)

        def take(number, answer):
            if answer.status == 200 and json.loads(answer.body)["participantId"] == asked[number][1]:
                self.gone[number % self.size].append(answer.at)
            elif answer.status == 429 and b'"upstream_rate_limited"' in answer.body:
                pause = max(1, answer.retry_after)
                return None if answer.at + pause > end else pause
            else:
                raise measure.Untrue(f"not disconnected: {answer.status} {answer.body[:900]!r}")

        callers.drive(ports, WAITING * self.size, next_request, take)
        time.sleep(0.5)
        gone = sum(map(len, self.gone))
        if (left_us := effects(running)) != gone:
            raise measure.Untrue(f"{gone} were reported as disconnected, and {left_us} have left")

    @staticmethod
    def span(times, length, windows):
        """How many of these came in this many windows, and in which time: from the first of one window to the first of another."""
        starts = [0] + [n for n in range(1, len(times)) if times[n] - times[n - 1] > length / 2]
        if len(starts) <= windows:
            raise measure.Untrue(f"{windows} windows were not seen to pass, but {len(starts) - 1}")
        return starts[windows], times[starts[windows]] - times[0]


def goodput(hangup, database, window, windows):
    """One replica, three with a window each, and three that share one, at the same time: none of them takes much of the machine."""
    fleets = {name: Fleet(hangup, database(name), size, window, shared)
              for name, size, shared in [("one", 1, False), ("three", 3, False), ("shared", 3, True)]}
    found = {}

    def run(name, fleet):
        try:
            found[name] = fleet.measure(windows)
        except Exception as failure:
            found[name] = failure

    threads = [threading.Thread(target=run, args=pair) for pair in fleets.items()]
    for thread in threads:
        thread.start()
        time.sleep(1)
    for thread in threads:
        thread.join()
    for result in found.values():
        if isinstance(result, Exception):
            raise result
    one, three, shared = (found[name] for name in fleets)
    allowed, length = window
    note = f"{allowed} calls in {length} s, {windows} windows"

    def refusals(result):
        return f"{result['refused']} of {result['calls']:,} calls answered 429 ({100 * result['refused'] / result['calls']:.1f} %)"

    return [
        ["disconnects of three replicas, each with a window of its own", f"{three['rate'] / one['rate']:.2f} × one", f"{note}; {three['rate']:.2f} a second, one {one['rate']:.2f}; {refusals(three)}"],
        ["share of one window that three replicas use together", f"{shared['share'] * 100:.1f} %", f"{note}; {refusals(shared)}"],
    ]


def databases():
    """Makes databases in the cluster of scripts/with-postgres: a function of their names; none without it."""
    given, programs = os.environ.get("HANGUP_TEST_POSTGRES"), os.environ.get("HANGUP_TEST_POSTGRES_BIN")
    if not given or not programs:
        return None

    def make(name):
        done = subprocess.run([f"{programs}/psql", "-X", "-q", given, "-c", f"CREATE DATABASE bench_{name}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise tools.Missing(f"no database: {done.stderr}")
        return f"{given.rsplit('/', 1)[0]}/bench_{name}?sslmode=disable"

    return make


def measured(hangup, short):
    """The table; with PostgreSQL and the fleet where `scripts/with-postgres` runs us."""
    count = 4_000 if short else 20_000
    rows = claimed(hangup, count, "SQLite")
    if database := databases():
        rows += claimed(hangup, count, "PostgreSQL", database("claims"))
        rows += goodput(hangup, database, *(((60, 12), 1) if short else ((300, 60), 2)))
    return report.table(["the store", "", "conditions"], rows)
