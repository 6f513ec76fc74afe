"""The pieces for platforms that are not themselves here: Laravel's queue, AWS Lambda, Power Automate, PowerShell."""
import json
import os
import shutil
import sys
import urllib.request
import uuid
from urllib.parse import quote

from .house import free_port
from .runtimes import CLIENTS, check, php_command, python_venv, run


def laravel(house):
    """The service class and the job, on Laravel's own HTTP client, database queue and worker, as Debian has them."""

    def work(c, participant, key="ivr", url=None):
        env = {**os.environ, "HANGUP_URL": url or f"{house.url}/", "HANGUP_KEY": house.keys.get(key, key)}
        return run(*php_command(), CLIENTS.parent / "scripts/clients_check/laravel_worker.php", CLIENTS / "laravel", c.id, participant, env=env)

    def ends(done, code, *words):
        check(done.returncode == code and all(word in done.stdout for word in words), done.stdout + done.stderr)

    def disconnects_exactly_that_participant_from_the_queue():
        c = house.conference()
        ends(work(c, c.customer), 0, "done after 1 attempts")
        c.gone(c.customer)
        ends(work(c, c.customer), 0, "done after 1 attempts")
        c.gone(c.customer)

    def fails_at_once_where_retrying_does_not_help():
        c = house.conference()
        ends(work(c, str(uuid.uuid4())), 1, "failed after 1 attempts: participant_not_found: ")
        ends(work(c, "../" + c.agent), 1, "failed after 1 attempts: ")
        ends(work(c, c.customer, key="hk_wrong"), 1, "failed after 1 attempts: unauthenticated: ")
        ends(work(c, c.customer, key="watcher"), 1, "failed after 1 attempts: observe mode: nobody was disconnected")
        house.fault(c, "disconnect", {"answer": {"status": 409, "code": "conflict"}})
        ends(work(c, c.customer), 1, "failed after 1 attempts: upstream_conflict: ")
        c.gone()

    def is_released_and_tried_again_where_it_does():
        c = house.conference()
        house.fault(c, "disconnect", {"answer": {"status": 503, "retry_after": "5"}}, times=2)
        ends(work(c, c.customer), 0, "done after 2 attempts")
        c.gone(c.customer)

    def gives_up_when_nobody_answers():
        c = house.conference()
        ends(work(c, c.customer, url=f"http://127.0.0.1:{free_port()}"), 1, "failed after 5 attempts")
        ends(work(c, c.customer, url=f"{house.sandbox}/x"), 1, "failed after 5 attempts", "something other than hangup")
        c.gone()

    return [
        disconnects_exactly_that_participant_from_the_queue, fails_at_once_where_retrying_does_not_help,
        is_released_and_tried_again_where_it_does, gives_up_when_nobody_answers,
    ]


INVOKE = "import json, sys, lambda_function as f; print('RESULT ' + json.dumps(f.lambda_handler(json.loads(sys.argv[1]), None)))"


def lambda_function(house):
    """The zip, unpacked and invoked as Lambda does; Lambda itself is not here."""

    def invoke(event, key="ivr", **env):
        folder = house.folder / f"lambda-{uuid.uuid4()}"
        folder.mkdir()
        for file in ("lambda/lambda_function.py", "python/hangup.py"):
            shutil.copy(CLIENTS / file, folder)
        env = {**os.environ, "HANGUP_URL": f"{house.url}/", "HANGUP_KEY": house.keys.get(key, key), "PYTHONDONTWRITEBYTECODE": "1", **env}
        done = run(sys.executable, "-c", INVOKE, json.dumps(event), cwd=folder, env=env)
        check(done.returncode == 0, done.stderr)
        check(house.keys["ivr"] not in done.stdout, "the key is in the log")
        answer = json.loads(done.stdout.rpartition("RESULT ")[2])
        check(all(isinstance(value, str) for value in answer.values()), f"not flat: {answer}")
        return answer

    def disconnects_the_participant_of_the_event():
        c = house.conference()
        answer = invoke({"conversationId": c.id, "participantId": c.customer})
        check((answer["done"], answer["gone"], answer["outcome"]) == ("true", "true", "disconnected"), f"{answer}")
        connect = {"Name": "ContactFlowEvent", "Details": {"ContactData": {}, "Parameters": {"conversationId": c.id, "participantId": c.agent}}}
        check(invoke(connect)["done"] == "true", "not by Amazon Connect")
        c.gone(c.customer, c.agent)

    def answers_code_and_detail_of_a_problem():
        c = house.conference()
        for answer, code in [
            (invoke({"conversationId": c.id, "participantId": str(uuid.uuid4())}), "participant_not_found"),
            (invoke({"conversationId": c.id, "participantId": c.agent}, key="hk_wrong"), "unauthenticated"),
            (invoke({"conversationId": c.id}), "usage"), (invoke({}, HANGUP_URL=""), "usage"),
            (invoke({"conversationId": c.id, "participantId": c.agent}, HANGUP_URL=f"http://127.0.0.1:{free_port()}"), "no_answer"),
            (invoke({"conversationId": c.id, "participantId": c.agent}, HANGUP_URL=f"{house.url}/elsewhere"), "no_such_route"),
        ]:
            check((answer["done"], answer["code"]) == ("false", code) and answer["detail"], f"{code}: {answer}")
        c.gone()

    def is_not_done_in_observe_mode_or_while_the_participant_is_still_there():
        c = house.conference()
        answer = invoke({"conversationId": c.id, "participantId": c.agent}, key="watcher")
        check((answer["done"], answer["outcome"]) == ("false", "would_disconnect"), f"{answer}")
        house.fault(c, "disconnect", "ignore_effect")
        answer = invoke({"conversationId": c.id, "participantId": c.agent}, HANGUP_WAIT="1")
        check((answer["done"], answer["gone"]) == ("false", "false"), f"{answer}")
        c.gone()

    return [
        disconnects_the_participant_of_the_event, answers_code_and_detail_of_a_problem,
        is_not_done_in_observe_mode_or_while_the_participant_is_still_there,
    ]


def power_automate(house):
    """The custom connector's files, and a call as the connector makes it; Power Automate itself is not here."""

    def connector(*arguments):
        folder = house.folder / f"connector-{uuid.uuid4()}"
        folder.mkdir()
        return run(sys.executable, CLIENTS / "power-automate/connector.py", *arguments, cwd=folder), folder

    def has_what_a_custom_connector_needs():
        done, folder = connector(f"{house.url}/", "https://hangup.example.com/genesys/")
        check(done.returncode == 0, done.stderr)
        text = (folder / "apiDefinition.swagger.json").read_text()
        contract, properties = json.loads(text), json.loads((folder / "apiProperties.json").read_text())
        output = (contract["swagger"], contract["schemes"], contract["host"], contract["basePath"])
        check(output == ("2.0", ["https"], "hangup.example.com", "/genesys"), f"{output}")
        check(len(text.encode()) < 1_000_000, "over the limit of 1 MB")
        check("oneOf" not in text and "anyOf" not in text, "a keyword that OpenAPI 2.0 does not have")
        operations = [o for path in contract["paths"].values() for o in path.values()]
        ids = [o["operationId"] for o in operations]
        check(len(ids) == len(set(ids)) > 10, f"{ids}")
        check(all(0 < len(o["summary"]) <= 80 and o["description"] for o in operations), "a summary is missing or too long")
        check(list(contract["securityDefinitions"]) == ["ApiKey"] and contract["securityDefinitions"]["ApiKey"]["type"] == "apiKey", "no key")
        check(list(properties["properties"]["connectionParameters"]) == ["api_key"], f"{properties}")

    def disconnects_exactly_that_participant_as_it_is_described():
        done, folder = connector(house.url)
        check(done.returncode == 0, done.stderr)
        contract, c = json.loads((folder / "apiDefinition.swagger.json").read_text()), house.conference()
        path, method = next((p, m) for p, path in contract["paths"].items() for m, o in path.items() if o["operationId"] == "disconnectParticipant")
        path = path.format(conversationId=quote(c.id), participantId=quote(c.customer))
        key = contract["securityDefinitions"]["ApiKey"]["name"]
        address = f"{contract['schemes'][0]}://{contract['host']}{contract['basePath'].rstrip('/')}{path}?wait=5"
        request = urllib.request.Request(address, b"{}", {key: house.keys["ivr"], "Content-Type": contract["consumes"][0]}, method=method.upper())
        with urllib.request.urlopen(request, timeout=30) as response:
            check(json.load(response)["outcome"] == "disconnected", "not disconnected")
        c.gone(c.customer)

    def says_how_it_is_used_and_that_nobody_answers():
        done, _ = connector()
        check(done.returncode == 1 and "HANGUP_URL" in done.stderr and "Traceback" not in done.stderr, done.stderr)
        done, _ = connector(f"http://127.0.0.1:{free_port()}")
        check(done.returncode == 1 and "no answer" in done.stderr, done.stderr)

    return [
        has_what_a_custom_connector_needs, disconnects_exactly_that_participant_as_it_is_described,
        says_how_it_is_used_and_that_nobody_answers,
    ]


PARSE = """
import sys, tree_sitter, tree_sitter_powershell
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
text = open(sys.argv[1], "rb").read()
assert not parser.parse(text).root_node.has_error, "syntax"
assert parser.parse(text.replace(b"foreach (", b"foreach ((", 1)).root_node.has_error, "the parser takes anything"
"""


def powershell(_house):
    def parses():
        done = run(python_venv(), "-c", PARSE, CLIENTS / "powershell/hangup.ps1")
        check(done.returncode == 0, done.stderr)

    return [parses]
