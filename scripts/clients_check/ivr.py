"""The pieces for IVR platforms, as far as they can be checked without them."""
import json
import uuid

from .house import send
from .runtimes import CLIENTS, check, python_venv, run


def architect(house):
    """The Data Actions: their format, and what Genesys Cloud would send and read for them."""

    def execute(name, given, credentials):
        done = run(python_venv(), CLIENTS / "architect/run.py", CLIENTS / f"architect/{name}.custom.json", house.url,
                   json.dumps(given), credentials)
        return done

    def has_the_format_of_an_export():
        done = run(python_venv(), "-c", f"""
import glob, json, jsonschema
schema = json.load(open({str(CLIENTS / 'architect/custom-action.schema.json')!r}))
files = glob.glob({str(CLIENTS / 'architect/*.custom.json')!r})
assert len(files) == 3, files
for file in files:
    action = json.load(open(file))
    jsonschema.Draft4Validator(schema).validate(action)
    for part in (action['contract']['input']['inputSchema'], action['contract']['output']['successSchema']):
        jsonschema.Draft4Validator.check_schema(part)
    for broken in ('name', 'integrationType', 'config', 'contract'):
        less = {{k: v for k, v in action.items() if k != broken}}
        assert not jsonschema.Draft4Validator(schema).is_valid(less), broken
""")
        check(done.returncode == 0, done.stderr[-600:])

    def disconnects_the_participant_it_names():
        c = house.conference()
        done = execute("disconnect-participant", {"conversationId": c.id, "participantId": c.agent}, house.keys["ivr"])
        check(done.returncode == 0 and json.loads(done.stdout)["outcome"] == "accepted", done.stdout + done.stderr)
        c.gone(c.agent)
        done = execute("disconnect-participant", {"conversationId": c.id, "participantId": "no id / at all"}, house.keys["ivr"])
        check(done.returncode == 1 and "400" in done.stderr, done.stdout + done.stderr)
        c.gone(c.agent)

    def disconnects_the_one_with_a_purpose():
        c = house.conference()
        done = execute("disconnect-by-purpose", {"conversationId": c.id, "purpose": "customer"}, house.keys["ivr"])
        check(done.returncode == 0, done.stdout + done.stderr)
        check(json.loads(done.stdout) == {"outcome": "all", "matched": 1, "disconnected": 1, "failed": 0}, done.stdout)
        c.gone(c.customer)
        # Two agents match: no one is disconnected. A purpose with a quotation mark matches no one.
        done = execute("disconnect-by-purpose", {"conversationId": c.id, "purpose": "agent"}, house.keys["ivr"])
        check(done.returncode == 1 and "409" in done.stderr, done.stdout + done.stderr)
        done = execute("disconnect-by-purpose", {"conversationId": c.id, "purpose": 'x", "all": "true'}, house.keys["ivr"])
        check(done.returncode == 0 and json.loads(done.stdout)["outcome"] == "none_matched", done.stdout + done.stderr)
        c.gone(c.customer)

    def disconnects_later_and_only_once():
        c = house.conference()
        given = {"conversationId": c.id, "purpose": "customer", "after": "10s"}
        first, again = [execute("disconnect-later", given, house.keys["ivr"]) for _ in range(2)]
        check(first.returncode == again.returncode == 0, first.stderr + again.stderr)
        first, again = json.loads(first.stdout), json.loads(again.stdout)
        check((first["state"], first["repeated"]) == ("scheduled", False), f"{first}")
        check((again["jobId"], again["repeated"]) == (first["jobId"], True), f"{again}")
        check(c.before == c.live(), "gone too early")
        c.gone(c.customer, within=30)
        done = execute("disconnect-later", {**given, "after": "31d"}, house.keys["ivr"])
        check(done.returncode == 1 and "400" in done.stderr, done.stdout + done.stderr)

    return [
        has_the_format_of_an_export, disconnects_the_participant_it_names, disconnects_the_one_with_a_purpose,
        disconnects_later_and_only_once,
    ]


def studio(house):
    """What the REST API action and the SNIPPET put on the wire. Studio itself is not available."""

    def disconnect(c, participant):
        return f"/conversations/{c.id}/participants/{participant}/disconnect"

    def the_actions_form_content_type_is_taken():
        c, key = house.conference(), house.keys["ivr"]
        form = {"X-API-Key": key, "Content-Type": "application/x-www-form-urlencoded"}
        status, answer = send(house, disconnect(c, c.customer), '{"reason":"user_request"}', **form)
        check((status, answer["outcome"]) == (200, "accepted"), f"{status} {answer}")
        status, answer = send(house, disconnect(c, c.agent), "", **form)
        check((status, answer["outcome"]) == (200, "accepted"), f"{status} {answer}")
        c.gone(c.customer, c.agent)

    def unset_variables_are_named():
        c = house.conference()
        status, answer = send(house, disconnect(c, ""), '{"reason":""}', **{"X-API-Key": house.keys["ivr"]})
        check((status, answer["code"]) == (400, "invalid_participant_id"), f"{status} {answer}")
        status, answer = send(house, f"/conversations//participants/{c.agent}/disconnect", "", **{"X-API-Key": house.keys["ivr"]})
        check((status, answer["code"]) == (400, "invalid_conversation_id"), f"{status} {answer}")
        c.gone()

    def the_snippet_reads_members_that_are_there():
        text = (CLIENTS / "studio/hangup.snippet").read_text()
        c = house.conference()
        key = {"X-API-Key": house.keys["ivr"], "Content-Type": "application/json"}
        _, success = send(house, disconnect(c, c.customer), '{ "reason": "user_request" }', **key)
        _, failure = send(house, disconnect(c, str(uuid.uuid4())), "", **key)
        members = {word.split(".")[1].split()[0] for word in text.split("hangupAnswer")[1:] if word.startswith(".")}
        check(members == {"outcome", "code", "retryAfterSeconds"}, f"{members}")
        check("outcome" in success and "code" in failure and "retryAfterSeconds" in failure, f"{success} {failure}")
        code = "\n".join(line.split("//")[0] if "https" not in line else line for line in text.splitlines())
        check(code.count("{") - code.count(r"\{") == code.count("}") - code.count(' }"'), "braces do not match")
        c.gone(c.customer)

    return [the_actions_form_content_type_is_taken, unset_variables_are_named, the_snippet_reads_members_that_are_there]
