"""Runs validate-sandbox against a sandbox of each surface. Its arguments are handed on, as in `--verbose`."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from demo import binary, free_port  # noqa: E402

SURFACES = ["published", "unpublished", "both"]


def validated(program, surface, log):
    """Whether a sandbox of that surface shows nothing that is not official."""
    port = free_port()
    settings = {"BIND": f"127.0.0.1:{port}", "SURFACE": surface}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HANGUP__")}
    environment |= {f"HANGUP__SANDBOX__{name}": value for name, value in settings.items()}
    sandbox = subprocess.Popen([program, "sandbox"], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if sandbox.poll() is not None:
                return False
            time.sleep(0.05)
        print(f"surface {surface}:", flush=True)
        command = [sys.executable, HERE / "validate-sandbox", f"http://127.0.0.1:{port}", *sys.argv[1:]]
        return subprocess.run(command).returncode == 0
    finally:
        sandbox.terminate()
        sandbox.wait(15)


def main():
    program = binary()
    with tempfile.TemporaryFile(mode="w+") as log:
        passed = [validated(program, surface, log) for surface in SURFACES]
        log.seek(0)
        output = log.read()
    if not all(passed) or " panicked" in output:
        print(output)
        sys.exit(1)


main()
