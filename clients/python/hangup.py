#!/usr/bin/env python3
"""Disconnects one participant. Needs nothing but Python 3.8.

    hangup.py CONVERSATION_ID PARTICIPANT_ID [REASON]

HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote


def disconnect(url, key, conversation, participant, reason="user_request", wait=5):
    """Answers the JSON members. Raises OSError or ValueError when the service does not answer."""
    request = urllib.request.Request(
        f"{url.rstrip('/')}/conversations/{quote(conversation, safe='')}/participants/{quote(participant, safe='')}/disconnect",
        method="POST",
        data=json.dumps({"reason": reason}).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json", "Prefer": f"wait={wait}"},
    )
    for last in (False, True):
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return members(response.status, response.read())
        except urllib.error.HTTPError as error:
            problem = members(error.code, error.read())
        # Busy: retry once, if the answer says when and that is soon.
        pause = problem.get("retryAfterSeconds")
        if last or not problem["retryable"] or pause is None or pause > 30:
            return problem
        time.sleep(pause)


def members(status, body):
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "ok" not in answer:
        raise ValueError(f"HTTP {status} of something other than hangup: check the address")
    return answer


UNKNOWN = "no such participant or conversation: take current ids from Genesys Cloud"
REMARKS = {
    "participant_not_found": UNKNOWN,
    "conversation_not_found": UNKNOWN,
    "upstream_conflict": "Genesys Cloud refuses, and the participant is still there",
}


def verdict(answer):
    """The exit code, and what to tell a person. `gone`, then `outcome` or `code`, say it; the HTTP status says less."""
    if answer.get("outcome") == "would_disconnect":
        return 1, "observe mode: nobody was disconnected"
    if answer["ok"] and answer["gone"] is False:
        return 2, "accepted, but still there when last seen"
    if answer["ok"]:
        return 0, None  # disconnected, accepted, already_disconnected, conversation_ended
    if answer["effect"] == "unknown":
        return 1, "the participant may be gone anyway: look before you retry"
    return 1, REMARKS.get(answer["code"], answer["detail"])


def main(arguments):
    url, key, wait = os.environ.get("HANGUP_URL"), os.environ.get("HANGUP_KEY"), os.environ.get("HANGUP_WAIT", "5")
    if not 2 <= len(arguments) <= 3 or not url or not key:
        print(__doc__, file=sys.stderr)
        return 1
    try:
        answer = disconnect(url, key, *arguments, wait=int(wait))
    except (OSError, ValueError) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    code, remark = verdict(answer)
    if remark:
        print(remark, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
