"""Many callers on kept connections, all driven by one thread: light enough to leave the machine to what is measured."""
import collections
import heapq
import selectors
import socket
import statistics
import time

from . import measure

Answer = collections.namedtuple("Answer", "status body retry_after took at")


class Connection:
    """One caller. It has one request under way at a time, and takes its next one itself."""

    def __init__(self, number, port):
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request, self.read, self.sent = None, b"", 0.0

    def send(self):
        self.read, self.sent = b"", time.perf_counter()
        self.socket.sendall(self.request)

    def answer(self):
        """The answer once all of it is there."""
        more = self.socket.recv(65536)
        if not more:
            raise measure.Untrue(f"a connection was closed after {self.read[:200]!r}")
        self.read += more
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(fields.get(b"content-length", 0)):
            return None
        now = time.perf_counter()
        return Answer(int(head[9:12]), body, int(fields.get(b"retry-after", 0)), now - self.sent, now)


def request(method, path, body=b"", headers=""):
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(ports, count, next_request, take):
    """Sends until there is no more to send, from `count` callers that are spread over the ports.

    `next_request(number)` gives the next request of a caller, or None. `take(number, answer)` says after how many seconds the
    same request is to be sent again, or None when it is over.
    """
    watched, late = selectors.DefaultSelector(), []
    open_ones = [Connection(number, ports[number % len(ports)]) for number in range(count)]

    def begin(caller):
        caller.request = next_request(caller.number)
        if caller.request is not None:
            caller.send()
        return caller.request is not None

    busy = 0
    for caller in open_ones:
        watched.register(caller.socket, selectors.EVENT_READ, caller)
        busy += begin(caller)
    while busy:
        wait = max(0, late[0][0] - time.perf_counter()) if late else 30
        ready = watched.select(wait)
        if not ready and not late:
            raise measure.Untrue(f"{busy} requests get no answer")
        for key, _ in ready:
            caller = key.data
            if (answer := caller.answer()) is None:
                continue
            pause = take(caller.number, answer)
            if pause is None:
                busy -= not begin(caller)
            else:
                heapq.heappush(late, (time.perf_counter() + pause, caller.number))
        while late and late[0][0] <= time.perf_counter():
            open_ones[heapq.heappop(late)[1]].send()
    for caller in open_ones:
        caller.socket.close()


def percentiles(times):
    """Median and 99th percentile, in the unit of the times."""
    return statistics.median(times), statistics.quantiles(times, n=100)[98]
