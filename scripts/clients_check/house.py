"""The house under test: a sandbox, services in front of it, and conferences to disconnect in."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from .runtimes import check, run


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class House:
    """A sandbox, and services in front of it with a keys file."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.children, self.keys = binary, Path(folder), [], {}
        for name, more in {
            "ivr": "", "reader": 'permissions = ["read"]', "watcher": 'mode = "observe"',
            "tools": 'permissions = ["disconnect", "read", "search", "bulk"]',
            **{f"hasty-{n}": 'rate = "20/m"' for n in ("curl", "python", "node", "php", "java", "go", "dotnet")},
        }.items():
            made = run(binary, "key", "new", name)
            key = next(line.strip() for line in made.stderr.splitlines() if line.strip().startswith("hk_"))
            record = "\n".join(l for l in made.stdout.splitlines() if not (more.startswith("perm") and l.startswith("perm")))
            self.keys[name] = key
            with open(self.folder / "keys.toml", "a") as keys:
                keys.write(f"{record}\n{more}\n\n")
        self.sandbox_port, self.port = free_port(), free_port()
        self.sandbox, self.url = f"http://127.0.0.1:{self.sandbox_port}", f"http://127.0.0.1:{self.port}"
        self.start("sandbox", ["sandbox"], {"SANDBOX__BIND": f"127.0.0.1:{self.sandbox_port}"}, self.sandbox_port)
        # Plenty: what is tested here is the clients.
        self.control("PATCH", "/sandbox/settings", {"rate_limit": 100000})
        self.serve("serve", self.port)

    def serve(self, name, port, **more):
        settings = {
            "STORE__URL": f"sqlite:{self.folder / name}.db",
            # The disk is busy with unpacking at first, and a write that lasts would be a 503.
            "STORE__TIMEOUT": "10s",
            "SERVER__BIND": f"127.0.0.1:{port}", "AUTH__KEYS_FILE": self.folder / "keys.toml", "AUTH__WRONG_KEY_RATE": "100/s",
            "SERVER__TRUSTED_PROXIES": "127.0.0.1", "GENESYS__API_URL": self.sandbox, "GENESYS__LOGIN_URL": self.sandbox,
            "GENESYS__CLIENT_ID": "sandbox", "GENESYS__CLIENT_SECRET": "sandbox-secret", "DISCONNECT__DEADLINE": "4s",
            "DISCONNECT__ATTEMPT_TIMEOUT": "2s", "SHUTDOWN__GRACE": "0s", **more,
        }
        self.start(name, ["serve"], settings, port)

    def start(self, name, command, settings, port):
        env = {k: v for k, v in os.environ.items() if not k.startswith("HANGUP__")}
        env.update({f"HANGUP__{key}": str(value) for key, value in settings.items()})
        log = open(self.folder / f"{name}.log", "w")
        self.spawn(name, [self.binary, *command], port, env=env, stdout=log, stderr=subprocess.STDOUT)

    def spawn(self, name, command, port, **more):
        child = subprocess.Popen([str(c) for c in command], **more)
        self.children.append(child)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return child
            if child.poll() is not None:
                break
            time.sleep(0.05)
        log = self.folder / f"{name}.log"
        sys.exit(f"{name} does not start:\n{log.read_text() if log.exists() else ''}")

    def close(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.wait(15)

    def control(self, method, path, body=None):
        request = urllib.request.Request(self.sandbox + path, method=method, data=body and json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def conference(self):
        return Conference(self, self.control("POST", "/sandbox/conversations"))

    def fault(self, conference, on, action, **more):
        self.control("POST", "/sandbox/faults", {"on": on, "conversation": conference.id, "action": action, **more})


class Conference:
    """A live conference, and who was in it at first."""

    def __init__(self, house, made):
        self.house, self.id = house, made["id"]
        self.before = self.live()
        people = house.control("GET", f"/sandbox/conversations/{self.id}")["participants"]
        self.customer = next(p["id"] for p in people if p["purpose"] == "customer" and p["live"])
        self.agent = next(p["id"] for p in people if p["purpose"] == "agent" and p["live"])

    def live(self):
        people = self.house.control("GET", f"/sandbox/conversations/{self.id}")["participants"]
        return {p["id"] for p in people if p["live"]}

    def gone(self, *expected, within=10):
        """Asserts that exactly these are gone; a PATCH takes effect a little later."""
        end = time.monotonic() + within
        while self.before - self.live() != set(expected) and time.monotonic() < end:
            time.sleep(0.05)
        if not expected:
            time.sleep(0.5)  # no one must leave late, either
        gone = self.before - self.live()
        check(gone == set(expected), f"gone: {sorted(gone)}, expected: {sorted(expected)}")


def send(house, path, body, method="POST", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
