"""A headless Chromium, driven by the W3C WebDriver protocol. Standard library only."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1100,1400",
]


class Browser:
    """One browser with an empty profile. Leaving its context closes it."""

    def __init__(self, port):
        self.profile = tempfile.mkdtemp(prefix="hangup-chromium-")
        self.base = f"http://127.0.0.1:{port}"
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.session = None

    def __enter__(self):
        self.until("chromedriver listens", lambda: self._ask("GET", "/status")["ready"])
        options = {"binary": shutil.which("chromium"), "args": [*FLAGS, f"--user-data-dir={self.profile}"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        self.session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self._ask("DELETE", f"/session/{self.session}")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            shutil.rmtree(self.profile, ignore_errors=True)

    def _ask(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=40) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def _in(self, method, path, body=None):
        return self._ask(method, f"/session/{self.session}{path}", body)

    @staticmethod
    def until(what, test, seconds=15):
        """Waits until `test` is true; fails with `what` was awaited."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                found = test()
                if found:
                    return found
            except (OSError, RuntimeError) as error:
                last = error
            time.sleep(0.05)
        raise AssertionError(f"in {seconds} s it was not so that {what} ({last})")

    def open(self, url):
        self._in("POST", "/url", {"url": url})

    def find(self, css):
        """The element's id; an error if there is none."""
        return self._in("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self._in("POST", f"/element/{self.find(css)}/click")

    def type(self, css, text):
        element = self.find(css)
        self._in("POST", f"/element/{element}/clear")
        self._in("POST", f"/element/{element}/value", {"text": text})

    def replace(self, css, text):
        """As a person does: selects what is there and types over it. Pages that keep a field's text themselves miss `clear`."""
        element = self.find(css)
        self.run("document.querySelector(args[0]).focus(); document.querySelector(args[0]).select()", css)
        self._in("POST", f"/element/{element}/value", {"text": text or "\ue017"})

    def emulate(self, width, height):
        """Makes the page as wide as a phone."""
        self.resize(width, height, scale=2, mobile=True)

    def resize(self, width, height, scale=1, mobile=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)

    def scheme(self, name):
        """Prefers colours that are `light` or `dark`."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def devtools(self, command, **params):
        return self._in("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def press(self, key):
        """Presses a key where the focus is. `\ue00c` is Escape, `\ue007` Enter, `\ue004` Tab."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._in("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def window(self):
        """The window that is driven."""
        return self._in("GET", "/window")

    def switch(self, window=None):
        """Drives that window, or a new one."""
        handle = window or self._in("POST", "/window/new", {"type": "window"})["handle"]
        self._in("POST", "/window", {"handle": handle})
        return handle

    def text(self, css):
        return self._in("GET", f"/element/{self.find(css)}/text")

    def label(self, css):
        """The accessible name, as assistive technology gets it."""
        return self._in("GET", f"/element/{self.find(css)}/computedlabel")

    def run(self, script, *args):
        """Runs the body of an async function in the page, and answers what it returns."""
        whole = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments)" \
                ".then((value) => done({ value }), (error) => done({ error: String(error) }));"
        result = self._in("POST", "/execute/async", {"script": whole, "args": list(args)})
        if "error" in result:
            raise RuntimeError(result["error"])
        return result.get("value")

    def complaints(self):
        """What the browser complained about since the last look: errors of scripts, refused resources, policies."""
        return [entry["message"] for entry in self._in("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._in("GET", "/screenshot")))
