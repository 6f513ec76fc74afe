"""Holds the OpenAPI 3.0 form against openapi-generator (Java): no error, no schema dropped, and a Python client that works.

It is given the 3.0 form because it calls its own support of 3.1 "still in beta" in a warning. The other warnings that it may give are about itself.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from demo import ROOT, Demo  # noqa: E402

STAGE = ROOT / "target/check-openapi"
FORM = ROOT / "src/http/docs/openapi-3.0.json"
# Where each generator writes the model of a schema.
MODELS = {
    "python": "openapi_client/models/{snake}.py",
    "typescript-fetch": "models/{name}.ts",
    "java": "src/main/java/org/openapitools/client/model/{name}.java",
    "csharp": "src/Org.OpenAPITools/Model/{name}.cs",
    "go": "model_{snake}.go",
}
# Nothing is lost by these: a word of the language is renamed, an example is left out of a comment, a list of anything is a list of anything, and
# an alternative that is a plain string or list has no name.
REMARKS = (
    "(reserved word) cannot be used as model name", "Ignoring complex example on request body",
    "Codegen property is null (e.g. map/dict of undefined type). Default to typing.Any", "Failed to get the schema name: null",
)


def generate(language):
    """Generates one client; answers what is wrong with it."""
    out = STAGE / f"generated-{language}"
    shutil.rmtree(out, ignore_errors=True)
    tool = pathlib.Path(sys.executable).parent / "openapi-generator-cli"
    done = subprocess.run([tool, "generate", "-i", FORM, "-g", language, "-o", out], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = [line for line in done.stdout.splitlines() if re.search(r"\b(WARN|ERROR)\b|Exception in thread", line)]
    wrong = [line for line in output if not any(remark in line for remark in REMARKS)]
    if done.returncode:
        return [f"exit {done.returncode}", *wrong]
    schemas = json.loads(FORM.read_text())["components"]["schemas"]
    # What is only a string, a number or a list becomes the language's own type.
    named = [name for name, schema in schemas.items() if schema.get("properties") or schema.get("oneOf") or schema.get("enum")]
    assert len(named) > 30, named
    snake = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in named}
    files = {name: out / MODELS[language].format(name=name, snake=snake[name]) for name in named}
    return wrong + [f"no model of {name}" for name, file in files.items() if not file.exists()]


CLIENT = """
    import sys
    sys.path.insert(0, "generated-python")
    import openapi_client
    from openapi_client.rest import ApiException

    url, key, conversation, participant = sys.argv[1:]
    api = openapi_client.DisconnectApi(openapi_client.ApiClient(openapi_client.Configuration(host=url, api_key={"ApiKey": key})))
    done = api.disconnect_participant(conversation, participant, prefer="wait=5")
    assert isinstance(done, openapi_client.DisconnectAnswer) and (done.outcome, done.gone) == ("disconnected", True), done
    try:
        api.disconnect_participant(conversation, "00000000-0000-0000-0000-000000000007")
        sys.exit("a participant who is not there was disconnected")
    except ApiException as error:
        assert isinstance(error.data, openapi_client.Problem), error
        assert error.data.code == "participant_not_found" and error.data.detail, error.data
"""


def main():
    with ThreadPoolExecutor(2) as pool:
        for language, wrong in zip(MODELS, pool.map(generate, MODELS)):
            if wrong:
                sys.exit(f"openapi-generator {language} failed:\n" + "\n".join(wrong))
            print(f"ok      openapi-generator {language}", flush=True)
    (STAGE / "generator_client.py").write_text(textwrap.dedent(CLIENT))
    with Demo(keyed=True) as demo:
        conference = demo.conference()
        target = next(p["id"] for p in conference["participants"] if p["purpose"] == "customer")
        before = demo.live(conference["id"])
        subprocess.run([sys.executable, "generator_client.py", demo.url, demo.key, conference["id"], target], cwd=STAGE, check=True)
        assert before - demo.live(conference["id"]) == {target}
    print("ok      the Python client of openapi-generator disconnects one participant and gets a typed problem", flush=True)


main()
