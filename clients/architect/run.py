#!/usr/bin/env python3
"""Does what Genesys Cloud documents for a custom action, without Genesys Cloud: input contract, Velocity, request, JSONPath,
success template, output contract. It stands in for the test button; it proves nothing about an org.

    run.py ACTION.custom.json HANGUP_URL '{"conversationId":…}' CALLER_KEY    (pip install airspeed jsonschema)
"""
import json
import sys
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import airspeed
import jsonschema


class Escape:
    def url(self, text):
        return quote(text, safe="")

    def jsonString(self, text):
        return json.dumps(text)[1:-1]


def render(template, **names):
    return airspeed.Template(template).merge({"esc": Escape(), **names})


def main(file, url, given, key):
    action, given = json.load(open(file)), json.loads(given)
    jsonschema.Draft4Validator(action["contract"]["input"]["inputSchema"]).validate(given)
    request, response = action["config"]["request"], action["config"]["response"]
    names = {"input": given, "credentials": {"apiKey": key}}
    path = urlsplit(render(request["requestUrlTemplate"], **names)).path
    call = urllib.request.Request(
        url.rstrip("/") + path, method=request["requestType"], data=render(request["requestTemplate"], **names).encode(),
        headers={name: render(value, **names) for name, value in request["headers"].items()},
    )
    try:
        with urllib.request.urlopen(call, timeout=action["config"]["timeoutSeconds"]) as answer:
            raw = json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"failure path: {error.code} {error.read().decode()}")
    found = {
        name: json.dumps(raw[path.removeprefix("$.")]) if path.removeprefix("$.") in raw else response["translationMapDefaults"][name]
        for name, path in response["translationMap"].items()
    }
    output = json.loads(render(response["successTemplate"], **found))
    jsonschema.Draft4Validator(action["contract"]["output"]["successSchema"]).validate(output)
    print(json.dumps(output))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
