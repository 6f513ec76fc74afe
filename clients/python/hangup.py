#!/usr/bin/env python3
"""Hangs up one participant. Needs nothing but Python 3.8.

    hangup.py CONVERSATION_ID PARTICIPANT_ID [REASON]

HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
the participant is seen gone. Exit: 0 gone or going, 1 nobody was hung up, 2 still there when last seen.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote


def hang_up(url, key, conversation, participant, reason="user_request", wait=5):
    """Answers the HTTP status and the JSON members. Raises OSError when the service does not answer."""
    request = urllib.request.Request(
        f"{url}/conversations/{quote(conversation, safe='')}/participants/{quote(participant, safe='')}/disconnect",
        method="POST",
        data=json.dumps({"reason": reason}).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json", "Prefer": f"wait={wait}"},
    )
    for last in (False, True):
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            pause = int(error.headers.get("Retry-After", 99))
            # Busy, and worth repeating: once, when it says so and not for long.
            if last or error.code not in (429, 503) or not problem["retryable"] or pause > 30:
                return error.code, problem
            time.sleep(pause)


def main(conversation, participant, reason="user_request"):
    try:
        status, answer = hang_up(
            os.environ["HANGUP_URL"], os.environ["HANGUP_KEY"], conversation, participant, reason,
            int(os.environ.get("HANGUP_WAIT", 5)),
        )
    except (OSError, ValueError) as error:
        sys.exit(f"no answer: {error}")
    print(json.dumps(answer))
    if status == 200 and answer["outcome"] != "would_disconnect":
        return 0  # disconnected, accepted, already_disconnected, conversation_ended
    if status == 202:
        print("taken over, but still there when last seen", file=sys.stderr)
        return 2
    if status == 200:
        remark = "observe mode: nobody was hung up"
    elif status == 404:
        remark = "no such participant or conversation: are the ids fresh, and Genesys Cloud's?"
    elif status == 409:
        remark = "Genesys Cloud refuses, and the participant is still there"
    elif answer["effect"] == "unknown":
        remark = "the participant may be gone all the same: look before you repeat"
    else:
        remark = answer["detail"]
    sys.exit(remark)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
