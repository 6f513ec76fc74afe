"""Opens /docs in a real browser and hangs somebody up from the page; the sandbox says who is gone.

`check.py [FOLDER]`: with a folder, leaves screenshots there.
"""

import http.server
import json
import pathlib
import sys
import threading

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

from demo import ROOT, Demo, free_port  # noqa: E402
from driver import Browser  # noqa: E402

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def check(name):
    """Announces a check, so that a failure is seen to belong to it."""
    print(f"  {name}", flush=True)


def row(participant):
    return f"tr[data-id='{participant}']"


def shows_the_contract(browser, demo):
    check("the page shows every operation and every problem code, and the browser complains about nothing")
    browser.open(f"{demo.url}/docs")
    contract = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    ids = {o["operationId"] for item in contract["paths"].values() for m, o in item.items() if m in METHODS}
    wanted = sorted(f"operation-{i}" for i in ids)
    shown = "return [...document.querySelectorAll('details[id^=operation-]')].map((one) => one.id).sort()"
    browser.until("all operations are shown", lambda: browser.run(shown) == wanted)
    text = browser.run("return document.body.textContent")
    missing = [c for c in contract["components"]["schemas"]["ProblemCode"]["enum"] if c not in text]
    assert not missing, f"the page does not show {missing}"
    assert browser.complaints() == []

    check("the page reads the contract as a YAML parser does")
    read = """
        const { parse } = await import('./docs/contract.js');
        return JSON.stringify(parse(await (await fetch('openapi.yaml')).text()));
    """
    assert json.loads(browser.run(read)) == contract

    check("what can be filled in has a name that is read aloud")
    assert browser.label("#conversation") == "Conversation id"
    assert browser.label("#key") == "Key"


def hangs_up_exactly_one(browser, demo):
    check("the list shows who is in the conversation")
    conference = demo.conference()
    people = {p["name"]: p["id"] for p in conference["participants"]}
    before = demo.live(conference["id"])
    browser.open(f"{demo.url}/docs")
    browser.type("#conversation", conference["id"] + "\ue007")
    browser.until("all are listed", lambda: all(browser.find(row(p)) for p in people.values()))

    check("a dry run hangs nobody up")
    browser.click("#dry")
    browser.click(f"{row(people['Ben Agent'])} button")
    browser.until("the answer is shown", lambda: '"outcome":"would_disconnect"' in browser.text("#answer"))
    assert demo.disconnects(conference["id"]) == 0
    browser.click("#dry")

    check("the button hangs up exactly that one, and the page shows the raw answer")
    assert browser.label(f"{row(people['Anna Agent'])} button") == "Hang up Anna Agent"
    browser.click(f"{row(people['Anna Agent'])} button")
    browser.until("the answer is shown", lambda: '"outcome":"disconnected"' in browser.text("#answer"))
    answer = browser.text("#answer")
    for part in ["Prefer: wait=5", "200 OK", "preference-applied: wait=5", '"verified":true', people["Anna Agent"]]:
        assert part in answer, f"{part} is not in {answer}"
    assert demo.live(conference["id"]) == before - {people["Anna Agent"]}
    browser.click("#list")
    gone = f"return document.querySelector(\"{row(people['Anna Agent'])} button\")?.disabled"
    browser.until("who is gone cannot be hung up again", lambda: browser.run(gone))

    check("without waiting, the answer is that it was accepted")
    browser.click("#wait")
    browser.click(f"{row(people['Ben Agent'])} button")
    browser.until("the answer is shown", lambda: '"outcome":"accepted"' in browser.text("#answer"))
    still = before - {people["Anna Agent"], people["Ben Agent"]}
    browser.until("exactly those two are gone", lambda: demo.live(conference["id"]) == still)
    assert browser.complaints() == []


def tells_what_is_wrong(browser, demo):
    check("a problem is shown as it is")
    browser.open(f"{demo.url}/docs")
    browser.type("#conversation", "4711")
    browser.click("#list")
    browser.until("the problem is shown", lambda: "invalid_conversation_id" in browser.text("#answer"))


def keeps_other_pages_away(browser, demo):
    check("a page of another origin hangs nobody up on a service without keys")
    conference = demo.conference()
    target = demo.live(conference["id"]).pop()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{elsewhere.server_port}/")
        mission = f"{demo.url}/conversations/{conference['id']}/participants/{target}/disconnect"
        # The request is sent; the page may not see its answer.
        send = "return (await fetch(args[0], { method: 'POST', mode: 'no-cors' })).type"
        assert browser.run(send, mission) == "opaque"
        framed = "const f = document.createElement('iframe'); f.src = args[0]; document.body.append(f); " \
                 "await new Promise((done) => { f.onload = done; }); return f.contentDocument === null"
        assert browser.run(framed, f"{demo.url}/docs")
        elsewhere.shutdown()
    assert demo.disconnects(conference["id"]) == 0
    assert any("frame-ancestors" in complaint for complaint in browser.complaints()), "the page was shown in a frame"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """An empty page of somebody else."""

    def do_GET(self):  # noqa: N802, the name is http.server's
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_):
        pass


def uses_a_key(browser, demo):
    check("with keys, the page says so without one, works with one, and stores it nowhere")
    conference = demo.conference()
    before = demo.live(conference["id"])
    eve = next(p["id"] for p in conference["participants"] if p["name"] == "Eve Consultant")
    browser.open(f"{demo.url}/docs")
    browser.type("#conversation", conference["id"])
    browser.click("#list")
    browser.until("the refusal is shown", lambda: '"code":"unauthenticated"' in browser.text("#answer"))
    browser.type("#key", demo.key)
    browser.click("#list")
    browser.until("Eve is listed", lambda: browser.find(row(eve)))
    browser.click(f"{row(eve)} button")
    browser.until("the answer is shown", lambda: '"outcome":"disconnected"' in browser.text("#answer"))
    assert demo.live(conference["id"]) == before - {eve}
    kept = "return localStorage.length + sessionStorage.length + document.cookie.length + (await indexedDB.databases()).length"
    assert browser.run(kept) == 0
    assert demo.key not in browser.run("return document.documentElement.outerHTML + location.href")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with Browser(free_port()) as browser:
        with Demo() as demo:
            shows_the_contract(browser, demo)
            hangs_up_exactly_one(browser, demo)
            if folder:
                browser.screenshot(folder / "docs.png")
            tells_what_is_wrong(browser, demo)
            keeps_other_pages_away(browser, demo)
        with Demo(keyed=True) as demo:
            uses_a_key(browser, demo)
    print("the page at /docs hangs up exactly whom it is told to")


main()
