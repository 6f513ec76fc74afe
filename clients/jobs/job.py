#!/usr/bin/env python3
"""Queues disconnects as a job, and waits until the job is done. Needs nothing but Python 3.8.

    job.py CONVERSATION_ID PARTICIPANT_ID          one disconnect, by Prefer: respond-async
    job.py --file ITEMS [QUERY]                    a file ending in .csv, .ndjson or .json; QUERY as in "after=30m&dryRun=true"

HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 3600) how long to wait: the job goes
on without us. What did not succeed is printed, one JSON line an item. Exit: 0 every item is gone, 1 there is no job, 2 some items
failed, or the job is not done.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson", "json": "application/json"}
ENDED = ("done", "cancelled", "paused", "held")
GOOD = ("disconnected", "already_disconnected", "conversation_ended", "would_disconnect")


class Service:
    def __init__(self, url, key):
        self.url, self.key = url.rstrip("/"), key

    def ask(self, method, path, body=None, **headers):
        """Answers the response. Raises HTTPError for a problem, and OSError when nothing answers."""
        request = urllib.request.Request(self.url + path, method=method, data=body, headers={"X-API-Key": self.key, **headers})
        return urllib.request.urlopen(request, timeout=120)

    def members(self, method, path, body=None, **headers):
        """The JSON members, after one retry if the answer says when and that is soon."""
        for last in (False, True):
            try:
                with self.ask(method, path, body, **headers) as response:
                    answer = members(response)
            except urllib.error.HTTPError as error:
                answer = members(error)
            pause = answer.get("retryAfterSeconds")
            if last or answer["ok"] or not answer["retryable"] or pause is None or pause > 30:
                return answer
            time.sleep(pause)


def members(response):
    try:
        answer = json.load(response)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "ok" not in answer:
        raise ValueError(f"HTTP {response.code} of something other than hangup: check the address")
    return answer


def queue(service, arguments):
    """Answers what POST answers; a repeat with the same Idempotency-Key never makes a second job."""
    once = {"Idempotency-Key": str(uuid.uuid4())}
    if arguments[0] != "--file":
        path = "/conversations/{}/participants/{}/disconnect".format(*(quote(part, safe="") for part in arguments))
        return service.members("POST", path, b"", Prefer="respond-async", **once)
    with open(arguments[1], "rb") as file:
        kind = TYPES[arguments[1].rpartition(".")[2]]
        query = f"?{arguments[2]}" if len(arguments) > 2 else ""
        return service.members("POST", f"/jobs{query}", file.read(), **{"Content-Type": kind}, **once)


def wait(service, path, seconds):
    """Answers the job when it has ended or the time is up. A service that is away for a while loses nothing: ask again."""
    end, pause = time.monotonic() + seconds, 0.5
    while True:
        try:
            job = service.members("GET", path)
        except OSError as error:
            job = {"ok": False, "retryable": True, "detail": str(error)}
        if job["ok"]:
            print(f"{job['state']}: {job['total'] - job['pending']} of {job['total']}", file=sys.stderr)
        if (job["ok"] and job["state"] in ENDED) or (not job["ok"] and not job["retryable"]) or time.monotonic() > end:
            return job
        time.sleep(pause)
        pause = min(pause * 1.5, 10)


def report(service, path):
    """Prints the items that did not succeed, and answers how many those are."""
    failed = 0
    with service.ask("GET", f"{path}/items", Accept="application/x-ndjson") as lines:
        for line in lines:
            if json.loads(line)["outcome"] not in GOOD:
                failed += 1
                print(line.decode().rstrip())
    return failed


def main(arguments):
    url, key, seconds = os.environ.get("HANGUP_URL"), os.environ.get("HANGUP_KEY"), os.environ.get("HANGUP_WAIT", "3600")
    fits = len(arguments) in (2, 3) if arguments[:1] == ["--file"] else len(arguments) == 2
    if not fits or not url or not key or (arguments[0] == "--file" and arguments[1].rpartition(".")[2] not in TYPES):
        print(__doc__, file=sys.stderr)
        return 1
    if arguments[0] == "--file" and not os.access(arguments[1], os.R_OK):
        print(f"cannot read {arguments[1]}", file=sys.stderr)
        return 1
    service = Service(url, key)
    try:
        queued = queue(service, arguments)
        if not queued["ok"]:
            print(f"{queued['code']}: {queued['detail']}", file=sys.stderr)
            return 1
        print(f"queued: {queued['jobUrl']}", file=sys.stderr)
        job = wait(service, queued["jobUrl"], float(seconds))
        failed = report(service, queued["jobUrl"])
    except (OSError, ValueError) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    if not job["ok"] or job["state"] != "done":
        held = f"start it with POST {queued['jobUrl']}/start" if job.get("state") == "held" else None
        why = held or job.get("pausedBecause") or job.get("detail") or "ask again later"
        print(f"not done, {job.get('state', 'state unknown')}: {why}", file=sys.stderr)
        return 2
    print(" ".join(f"{name}={number}" for name, number in job["counts"].items()), file=sys.stderr)
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
