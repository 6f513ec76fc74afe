"""Holds the contract against the tools that callers use: nothing may be complained about, and generated clients must work."""

import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from demo import ROOT, Demo  # noqa: E402

STAGE = ROOT / "target/check-openapi"
NODE = STAGE / "node_modules/.bin"
FORMS = [ROOT / "openapi.yaml", *sorted((ROOT / "src/http/docs").glob("openapi*.json"))]
COMPLAINTS = ("warning", "error ", "unable to process", "skipping integration")


def run(name, command, quiet=True, **more):
    """Runs a tool; it must succeed, and with `quiet` say nothing that sounds like a complaint."""
    done = subprocess.run([str(part) for part in command], cwd=STAGE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    output = [line for line in done.stdout.splitlines() if any(word in line.lower() for word in COMPLAINTS)]
    if done.returncode or (quiet and output):
        sys.exit(f"{name} failed:\n{done.stdout}")
    print(f"ok      {name}", flush=True)


def lint():
    (STAGE / "spectral.yaml").write_text("extends: ['spectral:oas']\n")
    for form in FORMS:
        # Spectral says "No results with a severity of 'error' found" when all is well.
        run(f"spectral {form.name}", [NODE / "spectral", "lint", form, "-r", "spectral.yaml", "-F", "hint"], quiet=False)
    for form in FORMS:
        run(f"redocly {form.name}", [NODE / "redocly", "lint", form, "--max-problems", "1", "--format", "stylish"], quiet=False)


def generate():
    (STAGE / "python.yaml").write_text("content_type_overrides:\n  text/csv: application/octet-stream\n  application/x-ndjson: application/octet-stream\n")
    for folder in ("hangup_client", "hey"):
        shutil.rmtree(STAGE / folder, ignore_errors=True)
    tools = pathlib.Path(sys.executable).parent
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    run("openapi-python-client", [
        tools / "openapi-python-client", "generate", "--path", ROOT / "openapi.yaml", "--output-path", "hangup_client",
        "--meta", "none", "--config", "python.yaml", "--fail-on-warning",
    ], env=os.environ | {"PATH": path})
    run("openapi-typescript", [NODE / "openapi-typescript", ROOT / "openapi.yaml", "-o", "hangup.d.ts"])
    run("hey-api", [NODE / "openapi-ts", "-i", ROOT / "openapi.yaml", "-o", "hey"])


PYTHON = """
    import sys
    from uuid import UUID
    from hangup_client import Client
    from hangup_client.api.disconnect import disconnect_participant
    from hangup_client.models import DisconnectAnswer, Problem

    client = Client(base_url=sys.argv[1], headers={"X-API-Key": sys.argv[2]})
    conversation, participant = UUID(sys.argv[3]), UUID(sys.argv[4])
    done = disconnect_participant.sync_detailed(conversation, participant, client=client, prefer="wait=1")
    assert done.status_code == 202 and isinstance(done.parsed, DisconnectAnswer), done
    assert (done.parsed.outcome, done.parsed.verified, done.parsed.gone) == ("accepted", False, False), done.parsed
    refused = disconnect_participant.sync(conversation, UUID(int=7), client=client)
    assert isinstance(refused, Problem) and refused.code == "participant_not_found" and refused.detail, refused
"""

TYPESCRIPT = """
    import createClient from "openapi-fetch";
    import type { paths } from "./hangup.d.ts";

    const [base, key, conversationId, participantId] = process.argv.slice(2);
    const client = createClient<paths>({ baseUrl: base, headers: { "X-API-Key": key } });
    const path = "/conversations/{conversationId}/participants/{participantId}/disconnect";
    const ask = (id: string) => client.POST(path, { params: { path: { conversationId, participantId: id }, header: { Prefer: "wait=1" } } });
    const done = await ask(participantId);
    if (done.response.status !== 202 || !done.data || !("outcome" in done.data) || done.data.outcome !== "accepted") throw new Error(JSON.stringify(done));
    const refused = await ask("00000000-0000-0000-0000-000000000007");
    if (refused.error?.code !== "participant_not_found" || !refused.error.detail) throw new Error(JSON.stringify(refused));
"""


def disconnect(demo):
    (STAGE / "client.py").write_text(textwrap.dedent(PYTHON))
    (STAGE / "client.ts").write_text(textwrap.dedent(TYPESCRIPT))
    checked = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--allowImportingTsExtensions", "--skipLibCheck"]
    run("the TypeScript client has the types", [NODE / "tsc", *checked, "client.ts"])
    run("the TypeScript client is made", [
        NODE / "tsc", "--outDir", "made", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--rewriteRelativeImportExtensions", "client.ts",
    ])
    for name, command in {"Python": [sys.executable, "client.py"], "TypeScript": ["node", "made/client.js"]}.items():
        conference = demo.conference()
        target = next(p["id"] for p in conference["participants"] if p["purpose"] == "customer")
        demo.sandbox("PUT", "faults", [{"on": "disconnect", "action": "ignore_effect"}])
        run(f"the generated {name} client gets a typed 202 and a typed problem", [*command, demo.url, demo.key, conference["id"], target])
        assert demo.disconnects(conference["id"]) == 1


def main():
    lint()
    generate()
    with Demo(keyed=True) as demo:
        disconnect(demo)


main()
