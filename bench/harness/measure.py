"""One sample of one peer: the time to its first answer, its memory, and each load with the CPU time it cost."""
import json
import socket
import subprocess
import time
from pathlib import Path

from . import peers, tools

# Name: connections (by wrk, as fast as it goes); none where our own generator keeps a fixed rate.
LOADS = {"1": 1, "16": 16, "64": 64, "fixed": None}
# All its connections ask for the same participant.
SAME = "same"
# Rate per second and connections of our own generator.
FIXED = {"fixed": (200, 8), "counted": (50, 1)}
# Until every line of the upstream's log has been written; see its flush.
LOG_WAIT = 0.5
PATIENCE = 20


class Untrue(Exception):
    """A request was not answered as it must be, or did not reach the upstream exactly once."""


def sample(peer, upstream, programs, cores, loads, seconds):
    """Starts the peer, loads it, stops it."""
    log = upstream.work / "upstream.log"
    found = {"loads": {}}
    with peers.running(peer, programs, upstream, cores.peer) as running:
        found["first_ms"] = first_answer(running) * 1000
        time.sleep(1)
        found["idle_mib"] = memory(running, "VmRSS")
        for name in loads:
            load(running, programs, name, 1)
            time.sleep(LOG_WAIT)
            empty(log)
            before = cpu_time(running)
            answered = load(running, programs, name, seconds)
            time.sleep(LOG_WAIT)
            # The rest of the work for these requests, such as writing their log, has been done by now.
            answered["cpu_us"] = (cpu_time(running) - before) * 1e6 / max(answered["completed"], 1)
            answered["rate"] = answered["completed"] / seconds
            answered["upstream"] = check(peer.name, name, answered, log)
            found["loads"][name] = answered
        found["peak_mib"] = memory(running, "VmHWM")
    return found


def load(running, programs, name, seconds):
    """Sends one load, and answers what its generator saw."""
    address = f"127.0.0.1:{running.port}"
    if name in FIXED:
        rate, connections = FIXED[name]
        command = [programs.load, address, rate, seconds, connections, running.key]
    else:
        connections = 64 if name == SAME else LOADS[name]
        script = tools.ROOT / "bench/peers/disconnect.lua"
        command = [programs.wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "15s", "-s", script]
        command += [f"http://{address}", "--", running.key, *([SAME] if name == SAME else [])]
    done = subprocess.run([str(word) for word in command], env=tools.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Untrue(f"the load \"{name}\" failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def empty(log):
    """The upstream appends, so its log may be cut under it."""
    with open(log, "w"):
        pass


def check(peer, load_name, answered, log):
    """Every answer was a 2xx, and every request reached the upstream exactly once: wrk leaves some unanswered at its end, and
    those for the same participant may be joined. Answers how many reached the upstream."""
    lines = log.read_text().splitlines()
    refused = [line for line in lines if not line.startswith("204 ")]
    twice = len(lines) - len(set(lines))
    left = len(lines) - answered["completed"]
    once = load_name == SAME or (not twice and 0 <= left <= (LOADS[load_name] or 0))
    if answered["errors"] or refused or not once:
        raise Untrue(
            f"{peer}, load {load_name}: {answered['completed']} answered, {answered['errors']} of them badly; {len(lines)} reached the "
            f"upstream, {twice} of them twice, {len(refused)} refused there {refused[:2]}"
        )
    return len(lines)


def first_answer(running):
    """Seconds from the start of the process to its first 2xx."""
    body = b'{"reason":"user_request"}'
    request = (
        f"POST /conversations/0a1b2c3d-4e5f-4a6b-8c7d-{time.time_ns() & 0xFFFFFFFFFFFF:012x}/participants/"
        f"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d/disconnect HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nX-API-Key: {running.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
    while time.perf_counter() - running.started < PATIENCE:
        try:
            with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
                connection.sendall(request)
                if connection.recv(12)[9:10] == b"2":
                    return time.perf_counter() - running.started
        except OSError:
            pass
        time.sleep(0.0005)
        if running.process.poll() is not None:
            break
    raise Untrue(f"no 2xx from the peer: {(running.work / 'out.log').read_text()[-2000:]}")


def cpu_time(running):
    """Seconds of CPU time of the processes so far, user and system, also of threads that are gone."""
    # Linux' clock of another process's CPU time: the same as utime + stime of /proc/PID/stat, but not in ticks of 10 ms.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in running.tree())


def memory(running, field):
    """MiB of the processes together."""
    total = 0
    for pid in running.tree():
        status = (Path("/proc") / str(pid) / "status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))
    return total / 1024
