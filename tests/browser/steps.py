"""Steps that people take on the console, and what is asked of each page: accessible, no wider than the screen, no complaints."""

import os
import pathlib

ESCAPE = "\ue00c"
DIALOG = "return document.getElementById('dialog').open"
FOCUSED = "return document.activeElement.id"


def say(name):
    print(f"  console: {name}", flush=True)


def accessible(browser, where):
    """axe-core finds nothing, in either scheme, and nothing is wider than the screen."""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        audit = f"{pathlib.Path(os.environ['AXE']).read_text()};\nreturn (await axe.run(document)).violations.map(" \
                "(one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ').slice(0, 600)}`)"
        found = browser.run(audit)
        assert found == [], f"{where}, {scheme}: {found}"
    browser.scheme("light")
    width, room = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room, f"{where}: {width} px in {room}"


def go(browser, to, css):
    """To that part of the console, by its address."""
    moved = browser.run("const moved = location.hash.slice(1) !== args[0]; "
                        "if (moved) document.querySelector('#view h1')?.setAttribute('data-old', ''); location.hash = args[0]; return moved", to)
    if moved:
        browser.until("the view has changed", lambda: browser.run("return !document.querySelector('[data-old]')"))
    browser.until(f"{css} is there", lambda: browser.find(css))


def shows(browser, css, text, seconds=15):
    browser.until(f"{css} shows {text!r}", lambda: text in browser.text(css), seconds)


def press(browser, text):
    """Clicks the button that is named so; within the dialog, where one is open."""
    script = "const within = document.querySelector('dialog[open]') ?? document; " \
             "const found = [...within.querySelectorAll('button')].filter((one) => one.textContent.trim() === args[0] && one.checkVisibility()); " \
             "if (found.length !== 1) throw new Error(`${found.length} buttons`); found[0].focus(); found[0].click()"
    browser.until(f"{text!r} can be pressed", lambda: browser.run(script, text) is None)


def opens(browser, text):
    """Presses a button that opens the dialog, and waits until it has."""
    press(browser, text)
    browser.until("the dialog is open", lambda: browser.run(DIALOG))


def signs_in_as(browser, key):
    browser.until("the form is there", lambda: browser.run("return !document.getElementById('sign-in').hidden"))
    browser.type("#key", key)
    press(browser, "Sign in")
    browser.until("the frame is there", lambda: browser.find(".who"))


def fill(browser, css, text):
    browser.until(f"{css} is there", lambda: browser.find(css))
    browser.run("const one = document.querySelector(args[0]); one.value = args[1]", css, text)


def complains_of_nothing(browser):
    """Except answers that were refused on purpose, and the time when the service was away."""
    expected = ("status of 4", "status of 5", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_INVALID_CHUNKED", "htmx:sendError", "htmx:afterRequest")
    odd = [complaint for complaint in browser.complaints() if not any(word in complaint for word in expected)]
    assert odd == [], odd


def pictures(browser, folder, name):
    """At 1280 and 390 px, in both schemes."""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.emulate(390, 844)
        browser.screenshot(folder / f"console-{name}-390-{scheme}.png")
        browser.resize(1280, 900)
        browser.screenshot(folder / f"console-{name}-1280-{scheme}.png")
    browser.scheme("light")
