"""The pieces that queue a job and wait until it is done."""
import json
import os
import subprocess
import sys
import uuid

from .house import free_port, send
from .runtimes import CLIENTS, check, need, run


def jobs(house):
    ways = {
        "python": lambda: [sys.executable, CLIENTS / "jobs/job.py"],
        "node": lambda: [need("node"), CLIENTS / "jobs/job.mjs"],
        "shell": lambda: need("curl") and [CLIENTS / "jobs/job.sh"],
    }
    return [case for name, command in ways.items() for case in cases(house, name, command)]


def cases(house, name, command):
    def job(*arguments, key="tools", url=None, **env):
        env = {**os.environ, "HANGUP_URL": url or f"{house.url}/", "HANGUP_KEY": house.keys.get(key, key), **env}
        return run(*command(), *arguments, env=env, timeout=120)

    def ends(done, code, *words):
        said = done.stdout + done.stderr
        check(done.returncode == code, f"exit {done.returncode}, expected {code}: {said[-600:]}")
        for word in words:
            check(word in said, f"\"{word}\" is not in: {said[-600:]}")
        return done

    def items(suffix, *rows):
        file = house.folder / f"items-{uuid.uuid4()}.{suffix}"
        members = [{"conversationId": c, "participantId": p} for c, p in rows]
        lines = {
            "csv": ["conversationId,participantId", *(f"{c},{p}" for c, p in rows)], "ndjson": map(json.dumps, members),
            "json": [json.dumps({"name": "check", "items": members})],
        }[suffix]
        file.write_text("\n".join(lines) + "\n")
        return file

    def disconnects_one_without_being_waited_for():
        c = house.conference()
        done = ends(job(c.id, c.customer), 0, "queued: /jobs/", "done: ", "disconnected")
        check(done.stdout == "", done.stdout)
        c.gone(c.customer)

    def disconnects_everybody_in_a_file():
        c = house.conference()
        for suffix, participant in [("csv", c.customer), ("ndjson", c.agent), ("json", c.agent)]:
            ends(job("--file", items(suffix, (c.id, participant))), 0, "done: ")
        c.gone(c.customer, c.agent)

    def reports_the_items_that_failed():
        c, someone = house.conference(), str(uuid.uuid4())
        done = ends(job("--file", items("csv", (c.id, c.customer), (c.id, someone))), 2, "done: ")
        failed = [json.loads(line) for line in done.stdout.splitlines()]
        output = [(item["participantId"], item["code"]) for item in failed]
        check(output == [(someone, "participant_not_found")] and failed[0]["detail"], done.stdout)
        c.gone(c.customer)

    def disconnects_nobody_in_a_preview():
        c = house.conference()
        ends(job("--file", items("csv", (c.id, c.customer)), "dryRun=true"), 0, "would_disconnect")
        c.gone()

    def stops_at_a_job_that_is_held():
        c = house.conference()
        done = ends(job("--file", items("csv", (c.id, c.customer)), "hold=true"), 2, "not done, held: start it with POST /jobs/")
        c.gone()
        cancel(done.stderr)

    def stops_waiting_when_its_time_is_up_and_the_job_goes_on():
        c = house.conference()
        done = ends(job("--file", items("csv", (c.id, c.customer)), "after=10s", HANGUP_WAIT="1"), 2, "not done, scheduled")
        c.gone(c.customer, within=30)
        check("/jobs/" in done.stderr, done.stderr)

    def stops_at_a_job_that_is_cancelled_meanwhile():
        c = house.conference()
        env = {**os.environ, "HANGUP_URL": house.url, "HANGUP_KEY": house.keys["tools"]}
        arguments = [str(part) for part in [*command(), "--file", items("csv", (c.id, c.customer)), "after=30m"]]
        with subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            cancel(child.stderr.readline())
            output = child.communicate(timeout=60)[1]
        check(child.returncode == 2 and "not done, cancelled" in output, output)
        c.gone()

    def cancel(output):
        path = next(word for word in output.split() if word.startswith("/jobs/")).removesuffix("/start")
        status, answer = send(house, f"{path}/cancel", None, **{"X-API-Key": house.keys["tools"]})
        check((status, answer.get("state")) == (200, "cancelled"), f"{status} {answer}")

    def says_why_there_is_no_job():
        c = house.conference()
        ends(job(c.id, c.customer, key="hk_wrong"), 1, "unauthenticated: ")
        ends(job("--file", items("csv", (c.id, c.customer), (c.id, c.agent)), key="ivr"), 1, "forbidden_caller: ", "bulk")
        ends(job("--file", items("csv", (c.id, "x"))), 1, "line 2")
        ends(job(c.id, c.customer, url=f"http://127.0.0.1:{free_port()}"), 1, "no answer")
        ends(job(c.id, c.customer, url=f"{house.sandbox}/x"), 1, "something other than hangup")
        c.gone()

    def says_how_it_is_used():
        for arguments, env in [([], {}), (["one"], {}), (["a", "b", "c"], {}), (["--file", "x.txt"], {}), (["a", "b"], {"HANGUP_URL": ""})]:
            env = {"HANGUP_URL": house.url, "HANGUP_KEY": "hk_x", **env}
            done = ends(run(*command(), *arguments, env={**os.environ, **env}, timeout=60), 1, "CONVERSATION_ID PARTICIPANT_ID", "--file")
            check("Traceback" not in done.stderr, done.stderr)
        ends(job("--file", "nowhere.csv"), 1, "cannot read nowhere.csv")

    made = [
        disconnects_one_without_being_waited_for, disconnects_everybody_in_a_file, reports_the_items_that_failed,
        disconnects_nobody_in_a_preview, stops_at_a_job_that_is_held, stops_waiting_when_its_time_is_up_and_the_job_goes_on,
        stops_at_a_job_that_is_cancelled_meanwhile, says_why_there_is_no_job, says_how_it_is_used,
    ]
    for case in made:
        case.__name__ = f"{name} {case.__name__}"
    return made
