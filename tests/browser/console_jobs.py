"""What people do with jobs at /console: preview, queue, start, approve, cancel, download."""

import pathlib
import tempfile

from demo import Demo
from steps import accessible, fill, go, opens, pictures, press, say, shows, signs_in_as


def runs_a_job(browser, demo, folder):
    say("a list is previewed, queued, started by typing how many, and done; its report is downloaded")
    conferences = [demo.conference() for _ in range(3)]
    targets = [(one["id"], next(p["id"] for p in one["participants"] if p["purpose"] == "customer")) for one in conferences]
    go(browser, "jobs", "#jobs")
    go(browser, "jobs/new", "#new-job")
    accessible(browser, "new job")
    fill(browser, "#list-text", "conversationId,participantId\n" + "\n".join(map(",".join, targets)))
    fill(browser, "#job-name", "Evening list")
    browser.run("document.getElementById('job-skip').click()")
    press(browser, "Preview")
    shows(browser, "#job", "would disconnect", 30)
    shows(browser, "#job", "3 of 3 finished", 30)
    assert all(target in demo.live(conversation) for conversation, target in targets)
    press(browser, "Queue this list for real")
    shows(browser, "#job", "held")
    opens(browser, "Start…")
    fill(browser, "#typed", "3")
    accessible(browser, "start of a job")
    press(browser, "Start the job")
    shows(browser, "#job", "done", 60)
    shows(browser, "#job", "3 of 3 finished")
    assert not any(target in demo.live(conversation) for conversation, target in targets)
    shows(browser, "#items", "disconnected")
    accessible(browser, "job")
    with tempfile.TemporaryDirectory() as place:
        browser.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=place)
        press(browser, "Download the report (CSV)")
        browser.until("the report is there", lambda: list(pathlib.Path(place).glob("job-*.csv")))
        report = next(pathlib.Path(place).glob("job-*.csv"))
        browser.until("it is whole", lambda: report.read_text().count("\n") == 4)
    if folder:
        pictures(browser, folder, "job")


def cancels_a_job(browser, demo):
    say("a held job is cancelled, and a list that is none is refused with what is wrong")
    conference = demo.conference()
    go(browser, "jobs/new", "#new-job")
    fill(browser, "#list-text", "nonsense\n1")
    press(browser, "Queue without a preview")
    shows(browser, "#new-problem", "nothing was queued")
    fill(browser, "#list-text", f"conversationId,participantId\n{conference['id']},{conference['participants'][0]['id']}")
    press(browser, "Queue without a preview")
    shows(browser, "#job", "held")
    opens(browser, "Cancel the job…")
    press(browser, "Cancel the job")
    shows(browser, "#job", "cancelled")
    assert len(demo.live(conference["id"])) == 4


def approves_a_job(browser, permissions):
    say("a job above the limit is started by another caller only, and the page says so")
    with Demo(keyed=True, permissions=permissions, other="approver", JOBS__APPROVE_ABOVE="1") as demo:
        conference = demo.conference()
        targets = [person["id"] for person in conference["participants"][:2]]
        browser.open(f"{demo.url}/console#jobs/new")
        signs_in_as(browser, demo.key)
        fill(browser, "#list-text", "conversationId,participantId\n" + "\n".join(f"{conference['id']},{one}" for one in targets))
        browser.run("document.getElementById('job-skip').click()")
        press(browser, "Queue without a preview")
        shows(browser, "#job", "must be started by another caller")
        held = browser.run("return location.hash")
        accessible(browser, "a job that needs approval")
        opens(browser, "Start…")
        fill(browser, "#typed", "2")
        press(browser, "Start the job")
        shows(browser, "#dialog-problem", "needs the approval of another caller")
        assert len(demo.live(conference["id"])) == 4, "nothing was started"
        browser.open(f"{demo.url}/console?approver{held}")
        signs_in_as(browser, demo.other_key)
        shows(browser, "#job", "held")
        opens(browser, "Start…")
        fill(browser, "#typed", "2")
        press(browser, "Start the job")
        shows(browser, "#job", "done", 60)
        assert not demo.live(conference["id"]) & set(targets)
