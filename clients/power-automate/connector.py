#!/usr/bin/env python3
"""Makes the two files of a Power Platform custom connector from the contract of a running hangup. Python 3.8, no package.

    connector.py HANGUP_URL [PUBLIC_URL]

HANGUP_URL is where the service answers here, PUBLIC_URL the address by which Power Automate will reach it, if that is another. Import apiDefinition.swagger.json by hand (Custom connectors → New →
Import an OpenAPI file), or create the connector with Microsoft's CLI: paconn create --api-def apiDefinition.swagger.json --api-prop apiProperties.json
"""
import json
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

# Headers that a flow should not have to see.
INTERNAL = ("X-Request-Id", "ININ-Correlation-Id", "If-Match")


def definition(contract, url):
    """The contract as the connector needs it: its own address, and one way to send the key."""
    address = urlsplit(url)
    contract["host"] = address.netloc
    contract["basePath"] = address.path.rstrip("/") or "/"
    contract["schemes"] = [address.scheme]
    contract["securityDefinitions"] = {"ApiKey": contract["securityDefinitions"]["ApiKey"]}
    contract["security"] = [{"ApiKey": []}]
    for operation in (operation for path in contract["paths"].values() for operation in path.values()):
        operation.pop("security", None)
        for parameter in operation["parameters"]:
            if parameter["name"] in INTERNAL:
                parameter["x-ms-visibility"] = "internal"
    return contract


PROPERTIES = {"properties": {
    "connectionParameters": {"api_key": {
        "type": "securestring",
        "uiDefinition": {
            "displayName": "Caller key", "description": "hk_…, made by hangup key new", "tooltip": "The key that you were given",
            "constraints": {"tabIndex": 2, "clearText": False, "required": "true"},
        },
    }},
    "iconBrandColor": "#1f4e79",
}}


def main(url, public=None):
    with urllib.request.urlopen(f"{url.rstrip('/')}/openapi-2.0.json", timeout=30) as response:
        contract = json.load(response)
    if contract.get("swagger") != "2.0":
        sys.exit(f"something other than hangup is at {url}")
    for name, content in {"apiDefinition.swagger.json": definition(contract, public or url), "apiProperties.json": PROPERTIES}.items():
        Path(name).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        print(name)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or not sys.argv[1].startswith("http"):
        print(__doc__, file=sys.stderr)
        sys.exit(1)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"no answer: {error}")
