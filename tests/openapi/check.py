"""Runs schemathesis with openapi.yaml against a demo that has keys. Further arguments go to schemathesis."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from demo import ROOT, Demo  # noqa: E402

# About 45 on an idle machine of two cores.
SECONDS = 180
REJECTED = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
# What is made up may have changed since it was seen (412), or reuse a key (422).
ACCEPTED = ["2xx", "3xx", 401, 403, 404, 409, 412, 413, 422, 429, "5xx"]
# The operations that only the admin port serves.
OPERATIONS = "^/(livez|readyz|metrics|mode)$"

# The operations that need no body, or take blanks in it for nothing, as unset variables arrive.
TAKE_NONE = [
    "POST /conversations/{conversationId}/participants/{participantId}/disconnect",
    "POST /api/v2/conversations/{conversationId}/participants/{participantId}/disconnect",
    "POST /api/v2/conversations/{conversationId}/disconnect",
    "PATCH /api/v2/conversations/{conversationId}/participants/{participantId}",
]


def schemathesis(demo, port, end, *arguments):
    """One run. Says whether nothing was found."""
    with tempfile.TemporaryDirectory(prefix="hangup-") as folder:
        config = pathlib.Path(folder) / "schemathesis.toml"
        config.write_text(
            f'base-url = "http://127.0.0.1:{port}"\n'
            f'hooks = "{HERE / "hooks.py"}"\n'
            # One of two schemes that are alternatives; otherwise each would have to fail without the other.
            f'[auth.openapi.ApiKey]\napi_key = "{demo.key}"\n'
            f'[auth.openapi.KeyNameAndKey]\nusername = "tester"\npassword = "{demo.key}"\n'
            # As its defaults, and 413: what is made up may be too large, right or wrong.
            f"[checks.negative_data_rejection]\nexpected-statuses = {REJECTED}\n"
            f"[checks.positive_data_acceptance]\nexpected-statuses = {ACCEPTED}\n"
            # Cursors, durations and times of jobs are texts with a meaning that a schema cannot tell.
            '[[operations]]\ninclude-path-regex = "^/jobs"\nchecks.positive_data_acceptance.enabled = false\n'
            # Blanks and `null` are taken as none, which generated clients need not know.
            f"[[operations]]\ninclude-name = {TAKE_NONE}\nchecks.negative_data_rejection.enabled = false\n"
        )
        command = [
            str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run",
            str(ROOT / "openapi.yaml"), "--phases", "examples,coverage,fuzzing", "--continue-on-failure",
            "--request-timeout", "20", "--warnings", "off", "--seed", "4711", *arguments, *sys.argv[1:],
        ]
        environment = os.environ | {"HANGUP_CHECK_SANDBOX": f"http://127.0.0.1:{demo.sandbox_port}"}
        try:
            done = subprocess.run(command, cwd=folder, env=environment, timeout=max(1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"schemathesis was not done within {SECONDS} s")
            return False
        return done.returncode == 0


def main():
    settings = {
        # The subject is the contract, not the pace: the sandbox's window and the throttle of wrong keys are wide open.
        "SANDBOX__RATE_LIMIT": "1000000", "AUTH__WRONG_KEY_RATE": "100000/s",
    }
    with Demo(keyed=True, **settings) as demo:
        end = time.monotonic() + SECONDS
        passed = schemathesis(demo, demo.port, end, "--exclude-path-regex", OPERATIONS, "--max-examples", "30")
        passed &= schemathesis(demo, demo.admin_port, end, "--include-path-regex", OPERATIONS, "--max-examples", "10")
        status, output = demo.call("GET", "/livez", port=demo.admin_port)
        passed &= status == 200
    if " panicked" in demo.output:
        print(demo.output)
        passed = False
    sys.exit(0 if passed else 1)


main()
