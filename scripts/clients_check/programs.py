"""The pieces that are programs of their own: plain HTTP clients, and those with an official SDK."""
import os
import uuid

from .house import free_port, send
from .runtimes import check, run


class Client:
    """A piece of clients/ that is started as a program of its own."""

    def __init__(self, house, name, command):
        self.house, self.name, self.command = house, name, command

    def __call__(self, conversation, participant, *more, key="ivr", url=None, **env):
        command = [str(c) for c in self.command()]
        env = {"HANGUP_URL": url or self.house.url, "HANGUP_KEY": self.house.keys.get(key, key), **env}
        return run(*command, conversation, participant, *more, env={**os.environ, **env}, timeout=120)

    def ends(self, done, code, *words):
        said = done.stdout + done.stderr
        check(done.returncode == code, f"exit {done.returncode}, expected {code}: {said[-600:]}")
        for word in words:
            check(word in said, f"\"{word}\" is not in: {said[-600:]}")


def plain(house, client):
    """The cases of a piece that calls the disconnect endpoint."""
    someone = str(uuid.uuid4())

    def disconnects_exactly_that_participant():
        c = house.conference()
        client.ends(client(c.id, c.customer), 0, '"disconnected"', "true")
        c.gone(c.customer)
        client.ends(client(c.id, c.customer, 'quo"ted & reason'), 0, '"already_disconnected"')
        c.gone(c.customer)

    def does_not_wait_when_told_so():
        c = house.conference()
        client.ends(client(c.id, c.agent, HANGUP_WAIT="0"), 0, '"accepted"')
        c.gone(c.agent)

    def says_who_is_unknown():
        c = house.conference()
        client.ends(client(c.id, someone), 1, "participant_not_found", "no such participant")
        client.ends(client(c.id, "../" + c.agent), 1)
        client.ends(client(c.id, "x y"), 1)
        c.gone()

    def says_that_a_key_is_refused():
        c = house.conference()
        client.ends(client(c.id, c.customer, key="hk_wrong"), 1, "unauthenticated")
        client.ends(client(c.id, c.customer, key="reader"), 1, "forbidden_caller", "disconnect")
        c.gone()

    def is_no_success_in_observe_mode():
        c = house.conference()
        client.ends(client(c.id, c.customer, key="watcher"), 1, "would_disconnect", "nobody was disconnected")
        c.gone()

    def says_when_somebody_is_still_there():
        c = house.conference()
        house.fault(c, "disconnect", "ignore_effect")
        client.ends(client(c.id, c.customer, HANGUP_WAIT="1"), 2, '"accepted"', "still there")
        c.gone()

    def reports_a_conflict():
        c = house.conference()
        house.fault(c, "disconnect", {"answer": {"status": 409, "code": "conflict"}})
        client.ends(client(c.id, c.customer), 1, "upstream_conflict", "refuses")
        c.gone()

    def repeats_once_when_busy():
        c = house.conference()
        house.fault(c, "disconnect", {"answer": {"status": 503, "retry_after": "5"}}, times=1)
        client.ends(client(c.id, c.customer), 0, '"disconnected"')
        c.gone(c.customer)

    def waits_when_its_rate_is_used_up():
        c, hasty = house.conference(), f"hasty-{client.name.split()[0]}"
        for _ in range(40):
            status, _ = send(house, f"/conversations/{c.id}", None, "GET", **{"X-API-Key": house.keys[hasty]})
            if status == 429:
                break
        check(status == 429, f"{status}")
        client.ends(client(c.id, c.customer, key=hasty), 0, '"disconnected"')
        c.gone(c.customer)

    def does_not_repeat_for_ever():
        c = house.conference()
        house.fault(c, "disconnect", {"answer": {"status": 503, "retry_after": "5"}})
        client.ends(client(c.id, c.customer), 1, "upstream_unavailable")
        c.gone()

    def says_that_nobody_answers():
        c = house.conference()
        client.ends(client(c.id, c.customer, url=f"http://127.0.0.1:{free_port()}"), 1, "no answer")
        c.gone()

    def takes_an_address_with_a_slash_at_its_end():
        c = house.conference()
        client.ends(client(c.id, c.customer, url=f"{house.url}/"), 0, '"disconnected"')
        c.gone(c.customer)

    def does_not_take_a_wrong_address_for_a_wrong_id():
        c = house.conference()
        done = client(c.id, c.customer, url=f"{house.url}/elsewhere")
        client.ends(done, 1, "no_such_route")
        check("no such participant" not in done.stdout + done.stderr, done.stderr)
        client.ends(client(c.id, c.customer, url=f"{house.sandbox}/x"), 1, "something other than hangup")
        c.gone()

    def says_how_it_is_used():
        for command, env in [([], {}), (["one"], {}), (["one", "two"], {"HANGUP_URL": ""}), (["one", "two"], {"HANGUP_KEY": ""})]:
            env = {"HANGUP_URL": house.url, "HANGUP_KEY": "hk_x", **env}
            done = run(*client.command(), *command, env={**os.environ, **env}, timeout=60)
            client.ends(done, 1, "CONVERSATION_ID PARTICIPANT_ID", "HANGUP_URL")
            check("Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr)

    def does_nothing_when_it_is_imported():
        piece = client.command()[-1]
        if piece.suffix == ".mjs":
            done = run(client.command()[0], "-e", f"import({str(piece)!r}).then(m => console.log(typeof m.disconnect))", timeout=60)
        elif piece.suffix == ".py":
            done = run(client.command()[0], "-c", "import hangup; print(callable(hangup.disconnect))", cwd=piece.parent, timeout=60,
                       env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        else:
            return
        check((done.returncode, done.stdout.strip(), done.stderr) in [(0, "function", ""), (0, "True", "")], f"{done}")

    return [
        takes_an_address_with_a_slash_at_its_end, does_not_take_a_wrong_address_for_a_wrong_id, says_how_it_is_used,
        does_nothing_when_it_is_imported, disconnects_exactly_that_participant, does_not_wait_when_told_so, says_who_is_unknown, says_that_a_key_is_refused,
        is_no_success_in_observe_mode, says_when_somebody_is_still_there, reports_a_conflict, repeats_once_when_busy,
        waits_when_its_rate_is_used_up, does_not_repeat_for_ever, says_that_nobody_answers,
    ]


def sdk(house, client):
    """The cases of a piece that uses an official SDK, directly and through hangup."""
    ways = {
        "on the sandbox directly": {"url": house.sandbox, "HANGUP_KEY_NAME": "sandbox", "key": "sandbox-secret"},
        "with the key as access token": {},
        "logging in with key name and key": {"HANGUP_KEY_NAME": "ivr"},
        "below a path prefix": {"url": f"{house.url}/genesys", "HANGUP_KEY_NAME": "ivr"},
        "below a path prefix with the key as access token": {"url": f"{house.url}/gw/genesys"},
    }

    def disconnect(way):
        c = house.conference()
        done = client(c.id, c.customer, **ways[way])
        client.ends(done, 0, c.customer, c.agent, "customer")
        c.gone(c.customer)
        client.ends(client(c.id, c.agent, CALL="1", **ways[way]), 0, f"{c.customer} customer", "gone")
        c.gone(c.customer, c.agent)

    def hear_errors(way):
        c = house.conference()
        word = "ApiException" if "python" in client.name else "SDK error"
        client.ends(client(c.id, str(uuid.uuid4()), **ways[way]), 1, f"{word} 404", "not")
        client.ends(client(str(uuid.uuid4()), c.agent, **ways[way]), 1, f"{word} 404")
        login = 400 if "directly" in way else 401  # Genesys Cloud answers a login with a wrong secret with either
        client.ends(client(c.id, c.agent, **{**ways[way], "key": "hk_wrong"}), 1, f"{word} {login}")
        c.gone()

    def named(name, case, way):
        def body():
            case(way)

        body.__name__ = f"{name} {way}"
        return body

    cases = [named("reads and disconnects", disconnect, way) for way in ways]
    cases += [named("hears errors as the SDK's own", hear_errors, way) for way in list(ways)[:3]]

    def may_do_nothing_else():
        c = house.conference()
        word = "ApiException" if "python" in client.name else "SDK error"
        client.ends(client(c.id, c.agent, key="reader"), 1, f"{word} 403")
        c.gone()

    return [*cases, may_do_nothing_else]
