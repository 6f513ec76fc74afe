"""Starts `hangup demo` on free ports, and talks to it and to its sandbox. Standard library only."""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The binary under test: HANGUP_BIN, or what cargo builds."""
    given = os.environ.get("HANGUP_BIN")
    if given:
        return str(pathlib.Path(given).resolve())
    built = subprocess.run(
        ["cargo", "build", "--locked", "--bin", "hangup", "--message-format", "json"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )
    messages = (json.loads(line) for line in built.stdout.splitlines())
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "hangup")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def new_key(program, name, permissions):
    """A key, and what the file of keys says of it."""
    made = subprocess.run([program, "key", "new", name], check=True, capture_output=True, text=True)
    words = ", ".join(f'"{word}"' for word in permissions)
    return re.search(r"\bhk_\S+", made.stderr).group(), re.sub(r"permissions = .*", f"permissions = [{words}]", made.stdout)


class Demo:
    """One demo, and with `keyed` a key for it; `other` names a second one. Leaving its context stops it."""

    def __init__(self, keyed=False, permissions=("disconnect", "read", "teardown"), other=None, **settings):
        self.port, self.sandbox_port, self.admin_port = free_port(), free_port(), free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="hangup-")
        self.log = pathlib.Path(self.folder.name) / "log"
        program = binary()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HANGUP__")}
        environment |= {
            "HANGUP__SERVER__BIND": f"127.0.0.1:{self.port}",
            "HANGUP__SANDBOX__BIND": f"127.0.0.1:{self.sandbox_port}",
            "HANGUP__ADMIN__BIND": f"127.0.0.1:{self.admin_port}",
        }
        self.key = self.other_key = None
        if keyed:
            self.key, entry = new_key(program, "tester", permissions)
            entries = [entry]
            if other:
                self.other_key, entry = new_key(program, other, permissions)
                entries.append(entry)
            keys = pathlib.Path(self.folder.name) / "keys.toml"
            keys.write_text("\n".join(entries))
            environment["HANGUP__AUTH__KEYS_FILE"] = str(keys)
        environment |= {f"HANGUP__{name}": value for name, value in settings.items()}
        self.program, self.environment = program, environment
        self.start()

    def start(self):
        """Starts it; again after `stop`, on the same ports and with the same keys, and with a sandbox that has forgotten."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "demo"], env=self.environment, stdout=log, stderr=log)

    def __enter__(self):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            try:
                if self.call("GET", "/readyz", port=self.admin_port)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        self.__exit__()
        raise SystemExit(f"the demo does not become ready:\n{self.output}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def __exit__(self, *_):
        self.stop()
        self.output = self.log.read_text(errors="replace")
        self.folder.cleanup()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, headers=None, port=None):
        """One request; answers status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def head(self, path):
        """Status and headers, in lower case, of a GET by a client that takes gzip."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def sandbox(self, method, path, body=None):
        """One request to the sandbox's control surface; answers its JSON."""
        text = None if body is None else json.dumps(body)
        status, output = self.call(method, f"/sandbox/{path}", text, port=self.sandbox_port)
        if status >= 300:
            raise SystemExit(f"the sandbox answers {status}: {output}")
        return json.loads(output) if output else None

    def conference(self, **spec):
        """A fresh live conference."""
        return self.sandbox("POST", "conversations", spec or None)

    def live(self, conversation):
        """Ids of who is live in it, as the sandbox knows."""
        seen = self.sandbox("GET", f"conversations/{conversation}")
        return {p["id"] for p in seen["participants"] if p["live"]}

    def disconnects(self, conversation):
        """How many disconnects it has accepted, also those that take effect later."""
        return sum(p["disconnects"] for p in self.sandbox("GET", f"conversations/{conversation}")["participants"])
