"""Jobs: how fast they are taken, run and taken up again, what they leave of a rate limit, and what interactive disconnects feel."""
import contextlib
import json
import os
import re
import statistics
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from . import peers, report, tools

PERMISSIONS = "disconnect,read,bulk,teardown,operate,jobs"
PATIENCE = 300


def call(url, body=None, method=None, kind="application/json"):
    """The answer as JSON; no answer in the 200s is an error."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else text.decode()


class Stack:
    """A sandbox and a service with a store in a file; the service can be killed and started again, and get replicas beside it."""

    def __init__(self, hangup, folder, window=None, store=None, settings=None):
        self.hangup, self.folder = hangup, Path(folder)
        self.log = open(self.folder / "log", "wb")
        ports = [peers.free_port() for _ in range(3)]
        self.sandbox, self.service, self.admin = (f"http://127.0.0.1:{port}" for port in ports)
        allowed, seconds = window or (100_000_000, 60)
        self.common = {name: value for name, value in os.environ.items() if not name.startswith("HANGUP__")}
        self.stand_in = self.start("sandbox", {
            "SANDBOX__BIND": f"127.0.0.1:{ports[0]}", "SANDBOX__RATE_LIMIT": allowed, "SANDBOX__RATE_WINDOW": f"{seconds}s",
            "SANDBOX__EFFECT_DELAY": "50ms",
        })
        peers.until(lambda: call(f"{self.sandbox}/sandbox/clock"))
        self.settings = {
            "SERVER__BIND": f"127.0.0.1:{ports[1]}", "ADMIN__BIND": f"127.0.0.1:{ports[2]}", "GENESYS__API_URL": self.sandbox,
            "GENESYS__LOGIN_URL": self.sandbox, "GENESYS__CLIENT_ID": "sandbox", "GENESYS__CLIENT_SECRET": "sandbox-secret",
            "STORE__URL": store or f"sqlite:{self.folder}/hangup.db", "STORE__TIMEOUT": "5s", "AUTH__ANONYMOUS_PERMISSIONS": PERMISSIONS,
            "TELEMETRY__LOG_LEVEL": "warn", "AUDIT__TARGET": "off", **(settings or {}),
        }
        self.others = []
        self.serve()

    def start(self, command, settings):
        environment = self.common | {f"HANGUP__{name}": str(value) for name, value in settings.items()}
        return peers.spawn([self.hangup, command], os.sched_getaffinity(0), self.log, environment)[0]

    def serve(self):
        self.process = self.start("serve", self.settings)
        peers.until(lambda: call(f"{self.admin}/readyz"))

    def another(self):
        """Starts a replica, and answers its address."""
        ports = [peers.free_port() for _ in range(2)]
        binds = {"SERVER__BIND": f"127.0.0.1:{ports[0]}", "ADMIN__BIND": f"127.0.0.1:{ports[1]}"}
        self.others.append(self.start("serve", self.settings | binds))
        peers.until(lambda: call(f"http://127.0.0.1:{ports[1]}/readyz"))
        return f"http://127.0.0.1:{ports[0]}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        for process in (self.process, *self.others, self.stand_in):
            peers.stop(process)
        self.log.close()

    def people(self, count):
        """This many participants, each in a conversation of its own."""
        made = (call(f"{self.sandbox}/sandbox/conversations", {}) for _ in range(count))
        return [(one["id"], next(p["id"] for p in one["participants"] if p.get("live", True))) for one in made]

    def queue(self, people, hold=False):
        lines = "\n".join(json.dumps({"conversationId": c, "participantId": p}) for c, p in people)
        path = f"/jobs?hold={str(hold).lower()}"
        return call(self.service + path, lines.encode(), kind="application/x-ndjson")["jobId"]

    def job(self, job):
        return call(f"{self.service}/jobs/{job}")

    def done(self, job):
        end = time.monotonic() + PATIENCE
        while (state := self.job(job))["state"] != "done":
            if time.monotonic() > end:
                raise tools.Missing(f"a job does not end: {state}")
            time.sleep(0.1)
        return state

    def totals(self):
        return call(f"{self.sandbox}/sandbox/journal?limit=0")["totals"]

    def rss(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


@contextlib.contextmanager
def stack(hangup, **more):
    with tempfile.TemporaryDirectory(prefix="hangup-jobs-") as folder:
        running = Stack(hangup, folder, **more)
        try:
            yield running
        finally:
            running.stop()


def seconds(moment):
    whole, fraction = re.fullmatch(r"(.*?)(\.\d+)?Z", moment).groups()
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)


def accepted(hangup, count):
    """Items accepted a second, what they take of memory, and how soon the first is sent after a crash and a start."""
    with stack(hangup) as running:
        strangers = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(count)]
        before, began = running.rss(), time.monotonic()
        job = running.queue(strangers, hold=True)
        took, after = time.monotonic() - began, running.rss()
        call(f"{running.service}/jobs/{job}/start", b"", "POST")
        running.kill()
        calls, began = running.totals()["requests"], time.monotonic()
        running.serve()
        while running.totals()["requests"] <= calls + 1:
            time.sleep(0.01)
        first = time.monotonic() - began
    return [["items accepted a second", f"{count / took:,.0f}", f"{count:,} as NDJSON in {took:.1f} s"],
            ["memory per queued item", f"{max(0, after - before) * 1024 * 1024 / count:,.0f} bytes", f"RSS {before:.0f} MiB before, {after:.0f} MiB after"],
            ["first item after SIGKILL and start", f"{first * 1000:,.0f} ms", f"{count:,} items queued; the start and the login are in it"]]


def million(hangup, count, each=100_000):
    """What this many queued items cost, in jobs of `each`: memory, a look at one job, and the time to the first item of all."""
    with stack(hangup) as running:
        before, began = running.rss(), time.monotonic()
        queued = []
        for start in range(0, count, each):
            strangers = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(min(each, count - start))]
            queued.append(running.queue(strangers, hold=True))
        took, after = time.monotonic() - began, running.rss()
        looks = []
        for job in queued:
            began = time.monotonic()
            running.job(job)
            looks.append(time.monotonic() - began)
        calls, began = running.totals()["requests"], time.monotonic()
        call(f"{running.service}/jobs/{queued[-1]}/start", b"", "POST")
        while running.totals()["requests"] <= calls + 1:
            time.sleep(0.005)
        first = time.monotonic() - began
    return [[f"RSS with {count:,} items queued", f"{after:.0f} MiB", f"{before:.0f} MiB before; {len(queued)} jobs, made and sent in {took:.0f} s"],
            ["`GET /jobs/{id}` then", f"{statistics.median(looks) * 1000:.1f} ms", f"median of {len(queued)} jobs, {max(looks) * 1000:.1f} ms at most"],
            ["first item after `start` then", f"{first * 1000:,.0f} ms", "of the job that was queued last"]]


def run(hangup, count, engine="SQLite", store=None):
    """Items a second where nothing else bounds them: each is one PATCH and one read that sees the participant gone."""
    with stack(hangup, store=store) as running:
        state = running.done(running.queue(running.people(count)))
        if state["counts"].get("disconnected") != count:
            raise tools.Missing(f"not all are disconnected: {state}")
        took = seconds(state["ended"]) - seconds(state["started"])
    return [[f"items run a second, {engine}", f"{count / took:,.0f}", f"{count:,} items in {took:.1f} s, each confirmed by a read"]]


def goodput(hangup, allowed, length, windows):
    """What a job makes of a window, from its second window on, and the 429s."""
    with stack(hangup, window=(allowed, length)) as running:
        running.queue(running.people(allowed * (windows + 2) // 2))
        time.sleep(length)
        before, began = running.totals(), time.monotonic()
        time.sleep(windows * length)
        after, took = running.totals(), time.monotonic() - began
        limited = after["by_status"].get("429", 0)
    share = (after["requests"] - before["requests"]) / (allowed * took / length)
    return [["share of a window that a job uses", f"{share * 100:.1f} %", f"{allowed} calls in {length} s, {windows} windows; {limited} answers 429"]]


def disconnect(running, conversation, participant):
    call(f"{running.service}/conversations/{conversation}/participants/{participant}/disconnect", b"", "POST")


def interactive(hangup, count):
    """p99 of interactive disconnects, one after the other, without and with a big job beside them."""
    def p99(running):
        took = []
        people = running.people(count + 1)
        # The reserve of the window is lent to jobs while no disconnect came for 10 s: the first one takes it back.
        disconnect(running, *people.pop())
        time.sleep(6.5)
        for conversation, participant in people:
            began = time.perf_counter()
            disconnect(running, conversation, participant)
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.1)
        return statistics.quantiles(took, n=100)[98]

    with stack(hangup, window=(300, 6)) as running:
        alone = p99(running)
        people = running.people(4_000)
        job = running.queue(people)
        time.sleep(1)
        beside = p99(running)
        still = running.job(job)["pending"]
    note = f"{count} disconnects each, some 10 a second, after a first one has taken the lent reserve back; 300 calls in 6 s; {still:,} items still pending"
    return [["p99 of interactive disconnects beside a big job", f"{beside / alone:.2f} ×", f"{alone:.1f} ms alone, {beside:.1f} ms beside; {note}"]]


def measured(hangup, short):
    """The table; with PostgreSQL where `scripts/with-postgres` runs us."""
    items = 3_000 if short else 20_000
    rows = accepted(hangup, 20_000 if short else 100_000) + million(hangup, 50_000 if short else 1_000_000) + run(hangup, items)
    if postgres := os.environ.get("HANGUP_TEST_POSTGRES"):
        rows += run(hangup, items, "PostgreSQL", postgres)
    rows += goodput(hangup, 60, 12, 2 if short else 5) + interactive(hangup, 150 if short else 1_000)
    return report.table(["jobs", "", "conditions"], rows)
