"""The Postman collection, run by newman."""
import json
import uuid

from .runtimes import CLIENTS, Once, check, npm, run

COLLECTION, ENVIRONMENT = (CLIENTS / f"postman/hangup.postman_{name}.json" for name in ("collection", "environment"))

newman = Once(lambda: npm("newman", "newman@6.2.2") / "node_modules/.bin/newman")


def requests(items):
    for item in items:
        yield from requests(item["item"]) if "item" in item else [item]


def postman(house):
    def collection(**variables):
        """Runs it, and answers its report."""
        report = house.folder / f"newman-{uuid.uuid4()}.json"
        given = {"HANGUP_URL": f"{house.url}/", "HANGUP_KEY": house.keys["tools"], **variables}
        run(newman(), "run", COLLECTION, "-e", ENVIRONMENT, *(f"--env-var={name}={value}" for name, value in given.items()),
            "--reporters", "json", "--reporter-json-export", report)
        return json.loads(report.read_text())["run"]

    def failures(output):
        return [f"{f['source'].get('name')}: {f['error'].get('test', '')}: {f['error']['message']}" for f in output["failures"]]

    def every_request_has_an_assertion_and_the_form_of_version_2_1():
        read = json.loads(COLLECTION.read_text())
        check(read["info"]["schema"] == "https://schema.getpostman.com/json/collection/v2.1.0/collection.json", read["info"])
        all_of_them = list(requests(read["item"]))
        check(len(all_of_them) > 15, f"{len(all_of_them)} requests")
        for item in all_of_them:
            url, tests = item["request"]["url"], [e["script"]["exec"] for e in item["event"] if e["listen"] == "test"]
            check(len(tests) == 1 and any("pm.test(" in line for line in tests[0]), f"{item['name']} asserts nothing")
            query = "&".join(f"{q['key']}={q['value']}" for q in url.get("query", []))
            spelled = "/".join([*url["host"], *url["path"]]) + (f"?{query}" if query else "")
            check(url["raw"] == spelled, f"{url['raw']} is not {spelled}")
        values = {v["key"]: v["value"] for v in json.loads(ENVIRONMENT.read_text())["values"]}
        check(values["DRY_RUN"] == "true" and values["HANGUP_KEY"] == "", f"{values}")

    def previews_what_it_finds_and_touches_nobody():
        c = house.conference()
        output = collection()
        check(not output["failures"], failures(output))
        check(output["stats"]["assertions"]["total"] > 35, output["stats"])
        c.gone()

    def disconnects_exactly_one_of_the_conversation_that_is_named():
        c = house.conference()
        output = collection(DRY_RUN="false", CONVERSATION=c.id)
        check(not output["failures"], failures(output))
        c.gone(c.customer)

    def sends_nothing_without_an_address_or_without_the_conversation_that_may_lose_somebody():
        c = house.conference()
        for variables, words in [({"HANGUP_URL": ""}, "set HANGUP_URL"), ({"DRY_RUN": "false"}, "set CONVERSATION")]:
            output = collection(**variables)
            check(output["failures"] and all(words in f for f in failures(output)), failures(output))
            check(not any("response" in e for e in output["executions"]), "something was sent")
        c.gone()

    def says_which_code_and_detail_came_back():
        output = collection(HANGUP_KEY="hk_wrong")
        check(any("unauthenticated" in f for f in failures(output)), failures(output))

    previews_what_it_finds_and_touches_nobody.alone = True
    return [
        every_request_has_an_assertion_and_the_form_of_version_2_1, previews_what_it_finds_and_touches_nobody,
        disconnects_exactly_one_of_the_conversation_that_is_named, says_which_code_and_detail_came_back,
        sends_nothing_without_an_address_or_without_the_conversation_that_may_lose_somebody,
    ]
