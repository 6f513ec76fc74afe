"""An AWS Lambda function that disconnects one participant. Python 3.9 or newer, no package; the handler is
lambda_function.lambda_handler, and clients/python/hangup.py goes into the same zip:

    zip -j hangup.zip clients/lambda/lambda_function.py clients/python/hangup.py

The event carries conversationId, participantId and optionally reason, directly (a Genesys Cloud AWS Lambda data action, Step
Functions, EventBridge's input) or as the parameters of Amazon Connect. HANGUP_URL is where the service is, HANGUP_KEY your caller
key, HANGUP_WAIT (seconds, default 5) how long to wait until the participant is seen gone. The answer is flat: every value is a
string, because Amazon Connect reads nothing else.
"""
import json
import os

from hangup import disconnect, verdict

MEMBERS = ("outcome", "code", "detail", "effect", "requestId")


def lambda_handler(event, context):
    given = event.get("Details", {}).get("Parameters") or event
    url, key = os.environ.get("HANGUP_URL"), os.environ.get("HANGUP_KEY")
    missing = [name for name, value in {"HANGUP_URL": url, "HANGUP_KEY": key}.items() if not value]
    missing += [name for name in ("conversationId", "participantId") if not given.get(name)]
    if missing:
        return result("false", code="usage", detail=f"not set: {', '.join(missing)}; the event needs conversationId and participantId")
    try:
        answer = disconnect(
            url, key, given["conversationId"], given["participantId"],
            given.get("reason") or "user_request", int(os.environ.get("HANGUP_WAIT", "5")),
        )
    except (OSError, ValueError) as error:
        answer = result("false", code="no_answer", detail=f"no answer: {error}", effect="unknown")
        print(json.dumps(answer))
        return answer
    print(json.dumps(answer))  # one line in CloudWatch; it holds no secret
    exit_code, remark = verdict(answer)
    gone = {True: "true", False: "false", None: "unknown"}[answer["gone"]]
    known = {name: answer[name] for name in MEMBERS if isinstance(answer.get(name), str)}
    return result("true" if exit_code == 0 else "false", gone=gone, remark=remark or "", **known)


def result(done, **more):
    """`done` is "true" when the participant is gone or going, and is the member to branch on."""
    return {"done": done, "gone": "unknown", "remark": "", **{name: "" for name in MEMBERS}, **more}
