"""The console polls only while someone looks at it."""

from steps import go, say, shows

ASKED = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/live')).length"
# What a page under test is made to believe: that ten minutes have passed, or that its tab is in the background.
LATER = "const now = Date.now.bind(Date); Date.now = () => now() + 600001"
HIDE = "Object.defineProperty(document, 'hidden', { value: args[0], configurable: true }); " \
       "document.dispatchEvent(new Event('visibilitychange'))"
# Two turns of the page's own timer, as the page counts them.
TWO_TURNS = "await new Promise((done) => setTimeout(done, 4500))"


def asks(browser):
    """How often the page looks at the conversation within two of its turns."""
    before = browser.run(ASKED)
    browser.run(TWO_TURNS)
    return browser.run(ASKED) - before


def pauses_when_nobody_looks(browser, conference):
    say("a page in the background asks for nothing, and looks at once when it is shown again")
    go(browser, f"conversations/{conference['id']}", "#live table")
    browser.run("performance.setResourceTimingBufferSize(100000); performance.clearResourceTimings()")
    browser.until("it looks by itself", lambda: browser.run(ASKED) > 0)
    browser.run(HIDE, True)
    browser.run("await new Promise((done) => setTimeout(done, 500))")
    assert asks(browser) == 0
    before = browser.run(ASKED)
    browser.run(HIDE, False)
    browser.until("it looks again", lambda: browser.run(ASKED) > before)

    say("a page that was not used for ten minutes says so and asks for nothing, until a key is pressed")
    browser.run(LATER)
    shows(browser, "#connection", "not been used for ten minutes")
    assert asks(browser) == 0
    before = browser.run(ASKED)
    browser.press("\ue004")
    browser.until("no notice is left", lambda: browser.text("#connection") == "")
    browser.until("it looks again", lambda: browser.run(ASKED) > before)
