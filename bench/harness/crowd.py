"""Memory for ten thousand: connections that do nothing, then disconnects that all wait for a slow upstream."""
import contextlib
import json
import os
import resource
import socket
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from . import measure, peers, tools

# Long enough for everybody to be there at once.
SLOW = 20
PATIENCE = 120


def measured(programs, cores, count):
    """A sentence for each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # A disconnect takes two descriptors of the service: its caller's and the upstream's.
    count = min(count, (most - 1_000) // 2)
    settings = {
        "limits.max_in_flight": count, "disconnect.deadline": "55s", "disconnect.attempt_timeout": "50s", "server.max_connections": count + 1000,
        "server.max_connections_per_address": count + 1000,
    }
    peer = peers.Peer("crowd", "hangup", programs.hangup, settings)
    with sandbox(programs, cores.load) as stand_in, peers.running(peer, programs, stand_in, cores.peer) as running, contextlib.ExitStack() as open_ones:
        measure.first_answer(running)
        for _ in range(200):
            ask(connect(running, open_ones), "GET /livez", running)
        start = measure.memory(running, "VmRSS")
        sockets = [connect(running, open_ones) for _ in range(count)]
        for one in sockets:
            ask(one, "GET /livez", running)
        idle = measure.memory(running, "VmRSS")
        post(stand_in.port, "/sandbox/faults", {"on": "disconnect", "latency": f"{SLOW}s"})
        for number, one in enumerate(sockets):
            # The stand-in's listener holds some thousand connections that have not been accepted yet.
            if number % 50 == 0:
                time.sleep(0.03)
            send(one, f"POST /conversations/{uuid.uuid4()}/participants/{uuid.uuid4()}/disconnect", running)
        time.sleep(2)
        slow = measure.memory(running, "VmRSS")
        for one in sockets:
            read(one)
        peak = measure.memory(running, "VmHWM")
    each = lambda mib: f"{mib * 1024 / count:.1f} KiB"
    return (
        f"{count:,} connections that have been served once and wait: {idle - start:.0f} MiB, {each(idle - start)} each. "
        f"{count:,} disconnects under way at once, their upstream answering after {SLOW} s: {slow - idle:.0f} MiB more, {each(slow - idle)} each, "
        f"the connection to the upstream included; all were answered 200. Peak RSS {peak:.0f} MiB."
    )


@contextlib.contextmanager
def sandbox(programs, core):
    """hangup's own stand-in: it can be slow."""
    port = peers.free_port()
    settings = {"BIND": f"127.0.0.1:{port}", "RATE_LIMIT": "1000000", "CLIENT_ID": peers.CLIENT, "CLIENT_SECRET": peers.SECRET, "SURFACE": "unpublished"}
    environment = os.environ | {f"HANGUP__SANDBOX__{name}": value for name, value in settings.items()}
    with tempfile.TemporaryFile(dir=tools.WORK) as log:
        process, started = peers.spawn([programs.hangup, "sandbox"], core, log, environment)
        try:
            peers.until(lambda: post(port, "/sandbox/conversations", {}))
            yield peers.Running(process, port, "", Path(tools.WORK), started)
        finally:
            peers.stop(process)


def post(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), method="POST")
    return urllib.request.urlopen(request, timeout=10).read()


def connect(running, open_ones):
    return open_ones.enter_context(socket.create_connection(("127.0.0.1", running.port), PATIENCE))


def send(connection, request_line, running):
    connection.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nContent-Length: 0\r\n\r\n".encode())


def ask(connection, request_line, running):
    send(connection, request_line, running)
    read(connection)


def read(connection):
    """Reads one answer to its end; it must be a 200."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + length(answer[:end]):
        more = connection.recv(65536)
        if not more:
            break
        answer += more
    if answer[9:12] != b"200":
        raise measure.Untrue(f"not a 200: {answer[:900]!r}")


def length(head):
    return next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
