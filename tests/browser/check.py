"""Opens /docs and /console in a real browser and disconnects participants from the pages; the sandbox says who is gone.

`check.py [FOLDER]`: with a folder, leaves screenshots there.
"""

import http.server
import pathlib
import sys
import threading

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

from demo import ROOT, Demo, free_port  # noqa: E402
from driver import Browser  # noqa: E402

import console  # noqa: E402

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def check(name):
    """Announces a check, so that a failure is seen to belong to it."""
    print(f"  {name}", flush=True)


def at(operation):
    """The block of an operation, by its id."""
    return f"div.opblock[id$='-{operation}']"


def opened(browser, demo, *operations):
    """The page, with these operations open."""
    browser.open(f"{demo.url}/docs")
    for operation in operations:
        browser.until(f"{operation} is shown", lambda: browser.find(at(operation)))
        browser.run("document.querySelector(args[0]).scrollIntoView()", at(operation))
        browser.click(f"{at(operation)} .opblock-summary-control")
        browser.until(f"{operation} can be tried", lambda: browser.find(f"{at(operation)} button.execute"))


def tried(browser, operation, **fields):
    """Fills in parameters and executes; answers status, headers and body as the page shows them."""
    block = at(operation)
    for name, text in fields.items():
        browser.replace(f"{block} tr[data-param-name='{name}'] input", text)
    before = browser.run("return document.querySelector(args[0])?.textContent ?? ''", f"{block} .live-responses-table")
    browser.run("document.querySelector(args[0]).click()", f"{block} button.execute")
    table = f"{block} table.live-responses-table tbody"
    shown = "return document.querySelector(args[0])?.textContent ?? ''"
    browser.until("the answer is shown", lambda: browser.run(shown, table) and browser.run(shown, table) not in before)
    return browser.run(shown, table)


def shows_the_contract(browser, demo):
    check("the page shows every operation, and the browser complains about nothing")
    browser.open(f"{demo.url}/docs")
    contract = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    ids = {o["operationId"] for item in contract["paths"].values() for m, o in item.items() if m in METHODS}
    shown = "return [...document.querySelectorAll('.opblock-summary-operation-id')].map((one) => one.textContent).sort()"
    browser.until("all operations are shown", lambda: browser.run(shown) == sorted(ids))
    assert browser.complaints() == []
    elsewhere = "return performance.getEntriesByType('resource').map((one) => one.name)"
    loaded = browser.run(elsewhere)
    assert loaded and all(name.startswith(f"{demo.url}/") or name.startswith("data:") for name in loaded), loaded

    check("what is large comes compressed")
    status, headers = demo.head("/docs/swagger-ui-bundle.js")
    assert (status, headers["content-encoding"]) == (200, "gzip") and int(headers["content-length"]) < 600_000, headers

    check("an operation of each kind can be tried")
    opened(browser, demo, "searchConversations", "createJob", "dropInPatch")
    assert browser.complaints() == []


def fits_a_phone(browser, demo):
    check("at 390 px nothing is wider than the screen")
    browser.emulate(390, 844)
    opened(browser, demo, "disconnectParticipant")
    wide = "return document.documentElement.scrollWidth"
    assert browser.run(wide) <= 390, browser.run(wide)
    reach = "const box = document.querySelector(args[0]).getBoundingClientRect(); return [box.left, box.right]"
    for part in ["button.execute", "tr[data-param-name='conversationId'] input"]:
        left, right = browser.run(reach, f"{at('disconnectParticipant')} {part}")
        assert 0 <= left < right <= 390, (part, left, right)


def disconnects_exactly_one(browser, demo):
    conference = demo.conference()
    people = {p["name"]: p["id"] for p in conference["participants"]}
    before = demo.live(conference["id"])
    opened(browser, demo, "listParticipants", "disconnectParticipant")
    browser.run("for (const one of document.querySelectorAll(args[0])) one.remove()", ".none")
    check("the list shows who is in the conversation")
    answer = tried(browser, "listParticipants", conversationId=conference["id"], purpose="", state="")
    for name in ["Carla Customer", "Anna Agent", "Ben Agent", "Eve Consultant"]:
        assert name in answer, answer

    check("the page disconnects exactly that one, and shows the whole answer")
    anna = people["Anna Agent"]
    answer = tried(browser, "disconnectParticipant", conversationId=conference["id"], participantId=anna, Prefer="wait=5")
    for part in ["200", "preference-applied: wait=5", '"outcome": "disconnected"', '"verified": true', anna]:
        assert part in answer, f"{part} is not in {answer}"
    assert demo.live(conference["id"]) == before - {anna}
    assert browser.complaints() == []


def tells_what_is_wrong(browser, demo):
    check("a problem is shown as it is")
    opened(browser, demo, "disconnectParticipant")
    nobody = "00000000-0000-4000-8000-000000000000"
    answer = tried(browser, "disconnectParticipant", conversationId=nobody, participantId=nobody)
    assert "conversation_not_found" in answer, answer


def keeps_other_pages_away(browser, demo):
    check("a page of another origin disconnects no one on a service without keys")
    conference = demo.conference()
    target = demo.live(conference["id"]).pop()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{elsewhere.server_port}/")
        target_url = f"{demo.url}/conversations/{conference['id']}/participants/{target}/disconnect"
        # The request is sent; the page may not see its answer.
        send = "return (await fetch(args[0], { method: 'POST', mode: 'no-cors' })).type"
        assert browser.run(send, target_url) == "opaque"
        framed = "const f = document.createElement('iframe'); f.src = args[0]; document.body.append(f); " \
                 "await new Promise((done) => { f.onload = done; }); return f.contentDocument === null"
        assert browser.run(framed, f"{demo.url}/docs")
        elsewhere.shutdown()
    assert demo.disconnects(conference["id"]) == 0
    assert any("frame-ancestors" in complaint for complaint in browser.complaints()), "the page was shown in a frame"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """An empty page of another site."""

    def do_GET(self):  # noqa: N802, the name is http.server's
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_):
        pass


def uses_a_key(browser, demo):
    check("with keys, the page is refused without one, works with one, and stores it nowhere")
    conference = demo.conference()
    before = demo.live(conference["id"])
    eve = next(p["id"] for p in conference["participants"] if p["name"] == "Eve Consultant")
    opened(browser, demo, "disconnectParticipant")
    fields = {"conversationId": conference["id"], "participantId": eve, "Prefer": "wait=5"}
    assert "unauthenticated" in tried(browser, "disconnectParticipant", **fields)
    browser.run("document.querySelector('.btn.authorize').click()")
    browser.until("the dialogue is there", lambda: browser.find("#api_key_value"))
    browser.type("#api_key_value", demo.key)
    browser.run("document.querySelector('.auth-container .authorize').click()")
    browser.run("document.querySelector('.btn-done').click()")
    assert '"outcome": "disconnected"' in tried(browser, "disconnectParticipant", **fields)
    assert demo.live(conference["id"]) == before - {eve}
    kept = "return localStorage.length + sessionStorage.length + document.cookie.length + (await indexedDB.databases()).length"
    assert browser.run(kept) == 0
    assert demo.key not in browser.run("return location.href")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with Browser(free_port()) as browser:
        with Demo() as demo:
            shows_the_contract(browser, demo)
            disconnects_exactly_one(browser, demo)
            if folder:
                browser.screenshot(folder / "docs.png")
            tells_what_is_wrong(browser, demo)
            keeps_other_pages_away(browser, demo)
        with Demo(keyed=True) as demo:
            uses_a_key(browser, demo)
        with Demo() as demo:
            fits_a_phone(browser, demo)
            if folder:
                browser.screenshot(folder / "docs-390.png")
    with Browser(free_port()) as browser:
        console.check(browser, folder)
    print("the pages at /docs and /console disconnect exactly whom they are meant to")


main()
