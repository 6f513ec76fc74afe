"""What people do at /console, in a real browser: sign in, search, open, disconnect, look, queue a job, switch the mode."""

from console_jobs import approves_a_job, cancels_a_job, runs_a_job
from demo import Demo
from freshness import pauses_when_nobody_looks
from issuer import Issuer
from steps import DIALOG, ESCAPE, FOCUSED, accessible, complains_of_nothing, fill, go, opens, pictures, press, say, shows

ALL = ("disconnect", "read", "search", "bulk", "teardown", "jobs", "audit", "operate")


def signs_in(browser, demo):
    say("a wrong key is refused in words, and nothing of it is kept")
    browser.open(f"{demo.url}/")
    browser.until("the form is there", lambda: browser.run("return !document.getElementById('sign-in').hidden"))
    accessible(browser, "sign-in")
    browser.type("#key", "hk_wrong")
    press(browser, "Sign in")
    browser.until("the problem is shown", lambda: browser.text("#sign-in-problem"))
    assert "key" in browser.text("#sign-in-problem").lower()
    say("the right key signs in, and lives in the memory of the page only")
    browser.type("#key", demo.key)
    press(browser, "Sign in")
    browser.until("the list is there", lambda: browser.find("#found table"))
    # htmx keeps the path of the page in the session's storage; nothing else is there, and above all not the key.
    kept = browser.run("return [{ ...localStorage }, { ...sessionStorage }, document.cookie, await indexedDB.databases()]")
    assert kept == [{}, {"htmx-current-path-for-history": "/console"}, "", []], kept
    assert demo.key not in browser.run("return location.href + document.documentElement.outerHTML")
    loaded = browser.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert loaded and all(name.startswith(f"{demo.url}/") and demo.key not in name for name in loaded), loaded


def searches(browser, demo, conference):
    say("words narrow the list, and an id opens the conversation")
    fill(browser, "#q", "waiting email")
    press(browser, "Search")
    shows(browser, "#found", "2 of ")
    accessible(browser, "search")
    fill(browser, "#q", f"  {conference['id'].upper()} ")
    press(browser, "Search")
    shows(browser, "#live", "Carla Customer")
    assert browser.run("return location.hash") == f"#conversations/{conference['id']}"


def disconnects(browser, demo, conference):
    ids = {p["name"]: p["id"] for p in conference["participants"]}
    before = demo.live(conference["id"])
    anna = f"disconnect-{ids['Anna Agent']}"
    say("the dialog takes the focus, gives it back on Escape, and disconnects no one by itself")
    accessible(browser, "conversation")
    assert browser.label(f"#{anna}") == "Disconnect Anna Agent"
    opens(browser, "Disconnect Anna Agent")
    assert browser.run("return document.getElementById('dialog').contains(document.activeElement)")
    for fact in ["Anna Agent", "agent", "call", "Support", "Ben Agent", "connected", "Carla Customer"]:
        assert fact in browser.text("#dialog"), fact
    accessible(browser, "dialog")
    browser.press(ESCAPE)
    browser.until("the dialog is closed", lambda: not browser.run(DIALOG))
    assert browser.run(FOCUSED) == anna
    assert demo.live(conference["id"]) == before

    say("a dry run disconnects no one")
    opens(browser, "Disconnect Anna Agent")
    browser.run("document.querySelector('#dialog [name=dryRun]').click()")
    press(browser, "Disconnect Anna Agent")
    shows(browser, "#result", "would be disconnected")
    assert demo.live(conference["id"]) == before

    say("who changed since the dialog opened is left alone")
    opens(browser, "Disconnect Eve Consultant")
    demo.call("POST", f"/conversations/{conference['id']}/participants/{ids['Eve Consultant']}/disconnect?wait=5",
              headers={"X-API-Key": demo.key})
    press(browser, "Disconnect Eve Consultant")
    shows(browser, "#dialog-problem", "changed")
    browser.press(ESCAPE)

    say("a confirmed disconnect reaches exactly that one, also on a second page")
    first = browser.window()
    second = browser.switch()
    browser.open(f"{demo.url}/console#conversations/{conference['id']}")
    browser.until("the form is there", lambda: browser.run("return !document.getElementById('sign-in').hidden"))
    browser.type("#key", demo.key)
    press(browser, "Sign in")
    shows(browser, "#live", "Disconnect Anna Agent")
    browser.switch(first)
    opens(browser, "Disconnect Anna Agent")
    fill(browser, "#reason", "shift is over")
    press(browser, "Disconnect Anna Agent")
    shows(browser, "#result", "Anna Agent is gone: confirmed")
    assert browser.run(FOCUSED) == "result"
    assert demo.live(conference["id"]) == before - {ids["Anna Agent"], ids["Eve Consultant"]}
    browser.until("the row is gone", lambda: "Disconnect Anna Agent" not in browser.text("#live"))
    browser.switch(second)
    browser.until("the second page shows it", lambda: "Disconnect Anna Agent" not in browser.text("#live"))
    browser.run("window.close()")
    browser.switch(first)

    say("the timeline says who asked, what Genesys Cloud said, and that the person is gone")
    for part in ["key:tester", "Anna Agent", "shift is over", "yes, seen gone", "202"]:
        shows(browser, "#timeline", part)
    accessible(browser, "timeline")


def signs_in_with_the_issuer(browser):
    say("the configured issuer signs people in, by code and PKCE, and its token is not kept")
    with Issuer(client="hangup-console", permissions="read search audit") as issuer:
        settings = {
            "AUTH__JWT__ISSUER": issuer.url, "AUTH__JWT__AUDIENCE": "hangup", "AUTH__JWT__CONSOLE_CLIENT_ID": issuer.client,
        }
        with Demo(**settings) as demo:
            conference = demo.conference()
            browser.open(f"{demo.url}/console#conversations/{conference['id']}")
            browser.until("the form is there", lambda: browser.run("return !document.getElementById('sign-in').hidden"))
            accessible(browser, "sign-in with an issuer")
            issuer.refuses = True
            browser.click("#issuer")
            shows(browser, "#sign-in-problem", "not today")
            issuer.refuses = False
            browser.click("#issuer")
            shows(browser, "#live", "Anna Agent")
            assert "jwt:alice" in browser.text(".who")
            assert "Disconnect Anna Agent" not in browser.text("#live"), "what the token does not allow is not offered"
            assert issuer.granted == 1 and issuer.token not in browser.run("return location.href + document.documentElement.outerHTML")
            kept = browser.run("return [{ ...localStorage }, Object.keys(sessionStorage), document.cookie]")
            assert kept == [{}, ["htmx-current-path-for-history"], ""], kept
            press(browser, "Sign out")
            browser.until("the form is back", lambda: browser.run("return !document.getElementById('sign-in').hidden"))
            assert browser.run("return document.querySelector('#live') === null")


def tears_down(browser, demo):
    say("everyone is disconnected only when the word is typed")
    conference = demo.conference()
    go(browser, f"conversations/{conference['id']}", "#teardown")
    opens(browser, "Disconnect everyone…")
    fill(browser, "#word", "everybody")
    press(browser, "Disconnect everyone")
    assert len(demo.live(conference["id"])) == 4
    fill(browser, "#word", "everyone")
    press(browser, "Disconnect everyone")
    shows(browser, "#result", "The conversation has ended: confirmed.")
    assert demo.live(conference["id"]) == set()


def switches_the_mode(browser, demo, conference, folder):
    say("the mode is switched, and in observe mode no one is disconnected")
    go(browser, "status", "#status .tiles")
    for part in ["ready", "tester", "participant state", "calls left"]:
        shows(browser, "#status", part)
    accessible(browser, "status")
    if folder:
        pictures(browser, folder, "status")
    opens(browser, "Switch to observe mode…")
    accessible(browser, "mode")
    press(browser, "Switch to observe mode")
    shows(browser, "#status", "Switch to enforce mode…")
    go(browser, f"conversations/{conference['id']}", "#live table")
    shows(browser, "#live", "Observe mode.")
    before = demo.live(conference["id"])
    opens(browser, "Disconnect Ben Agent")
    press(browser, "Disconnect Ben Agent")
    shows(browser, "#result", "would be disconnected")
    assert demo.live(conference["id"]) == before
    go(browser, "status", "#status .tiles")
    opens(browser, "Switch to enforce mode…")
    press(browser, "Switch to enforce mode")
    shows(browser, "#status", "Switch to observe mode…")


def recovers(browser, demo, conference):
    say("a lost connection is shown, and the page goes on by itself once the service is back")
    go(browser, f"conversations/{conference['id']}", "#live table")
    demo.stop()
    shows(browser, "#connection", "cannot be reached")
    demo.start()
    browser.until("the service is back", lambda: demo.call("GET", "/readyz", port=demo.admin_port)[0] == 200)
    again = demo.conference(id=conference["id"])
    browser.until("no notice is left", lambda: browser.text("#connection") == "")
    shows(browser, "#live", "Disconnect Anna Agent")
    browser.until("the list is the new one", lambda: browser.find(f"#disconnect-{again['participants'][0]['id']}"))
    assert demo.disconnects(conference["id"]) == 0


def fits_phones(browser, demo, conference, folder):
    say("from 360 px on nothing is wider than the screen, and axe finds nothing")
    ids = {p["name"]: p["id"] for p in conference["participants"]}
    for width in (360, 390):
        browser.emulate(width, 800)
        for view, css in [("", "#found table"), (f"conversations/{conference['id']}", "#live table"), ("jobs", "#jobs table"),
                          ("status", "#status .tiles")]:
            go(browser, view, css)
            accessible(browser, f"{view or 'search'} at {width} px")
        go(browser, f"conversations/{conference['id']}", "#live table")
        opens(browser, "Disconnect Anna Agent")
        accessible(browser, f"dialog at {width} px")
        browser.press(ESCAPE)
        left, right = browser.run(
            "const box = document.getElementById(args[0]).getBoundingClientRect(); return [box.left, box.right]",
            f"disconnect-{ids['Anna Agent']}",
        )
        assert 0 <= left < right <= width, (left, right)
    browser.resize(1280, 900)
    if not folder:
        return
    go(browser, "", "#found table")
    pictures(browser, folder, "search")
    go(browser, f"conversations/{conference['id']}", "#live table")
    pictures(browser, folder, "conversation")
    opens(browser, "Disconnect Anna Agent")
    pictures(browser, folder, "dialog")
    browser.press(ESCAPE)


def picture_for_readers(browser, demo, folder):
    """README's picture: a conversation in which a participant was just disconnected."""
    conference = demo.conference()
    browser.resize(1280, 940)
    go(browser, f"conversations/{conference['id']}", "#live table")
    shows(browser, "#live", "Disconnect Ben Agent")
    opens(browser, "Disconnect Ben Agent")
    fill(browser, "#reason", "left in the conference")
    press(browser, "Disconnect Ben Agent")
    shows(browser, "#result", "Ben Agent is gone: confirmed")
    shows(browser, "#timeline", "yes, seen gone")
    browser.until("the row is gone", lambda: "Disconnect Ben Agent" not in browser.text("#live"))
    browser.screenshot(folder / "console.png")
    pictures(browser, folder, "done")


def check(browser, folder):
    browser.resize(1280, 900)
    with Demo(keyed=True, permissions=ALL) as demo:
        demo.sandbox("POST", "conversations", {"stuck": {"count": 2, "medium": "email", "queue": "Claims", "age": "3d"}})
        demo.sandbox("POST", "conversations", {"stuck": {"count": 3, "medium": "message", "queue": "Sales", "age": "26h"}})
        conference = demo.conference()
        signs_in(browser, demo)
        searches(browser, demo, conference)
        disconnects(browser, demo, conference)
        tears_down(browser, demo)
        runs_a_job(browser, demo, folder)
        cancels_a_job(browser, demo)
        conference = demo.conference()
        switches_the_mode(browser, demo, conference, folder)
        pauses_when_nobody_looks(browser, conference)
        fits_phones(browser, demo, conference, folder)
        if folder:
            picture_for_readers(browser, demo, folder)
        recovers(browser, demo, conference)
        complains_of_nothing(browser)
    approves_a_job(browser, ALL)
    signs_in_with_the_issuer(browser)
    with Demo() as demo:
        say("a service without keys signs in by itself")
        browser.open(f"{demo.url}/")
        browser.until("the list is there", lambda: browser.find("#found table"))
