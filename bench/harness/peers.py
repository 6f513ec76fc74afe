"""The peers: their configurations filled in, their processes started and stopped."""
import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import tools

CLIENT, SECRET = "bench", "bench-secret"
TOKEN = "bench-token-" + "x" * 64
# Name: configuration, program. In the order of the report.
KINDS = ["envoy", "envoy-logging", "nginx-lua", "haproxy", "hangup", "hangup-guided"]
TITLES = {
    "envoy": "Envoy, credential injector, one worker",
    "envoy-logging": "the same with API keys and an access log",
    "nginx-lua": "nginx + Lua, one worker",
    "haproxy": "HAProxy, fixed token (floor: no login)",
    "hangup": "hangup, everything on",
    "hangup-guided": "hangup, everything on, built by profile",
}
API_KEY = """- name: envoy.filters.http.api_key_auth
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth
              credentials: [{{key: "{key}", client: bench}}]
              key_sources: [{{header: X-API-Key}}]"""
ACCESS_LOG = """access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: "{work}/envoy.log"
              log_format:
                json_format:
                  {{time: "%START_TIME%", method: "%REQ(:METHOD)%", path: "%REQ(:PATH)%", status: "%RESPONSE_CODE%",
                    request_id: "%REQ(X-REQUEST-ID)%", duration_ms: "%DURATION%", peer: "%DOWNSTREAM_REMOTE_ADDRESS%"}}"""


@dataclass
class Peer:
    """One program under test."""

    name: str
    kind: str
    program: Path
    # For hangup: settings by their dotted keys, and how many callers' keys its file has.
    settings: dict = field(default_factory=dict)
    keys: int = 1


@dataclass
class Running:
    """A started program."""

    process: subprocess.Popen
    port: int
    key: str
    work: Path
    started: float
    certificates: Path | None = None

    def tree(self):
        """The process and its children."""
        pids, children = [self.process.pid], {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                children.setdefault(int(stat.read_text().rsplit(")", 1)[1].split()[1]), []).append(int(stat.parent.name))
        for pid in pids:
            pids.extend(children.get(pid, []))
        return pids


def line_up(programs, names, binaries):
    """The peers of a comparison."""
    program = {
        "envoy": programs.envoy,
        "envoy-logging": programs.envoy,
        "nginx-lua": programs.nginx,
        "haproxy": programs.haproxy,
        "hangup": programs.hangup,
        "hangup-guided": programs.guided,
    }
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise tools.Missing(f"no such peer: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    builds = [Peer(name, "hangup", Path(path)) for name, path in binaries.items()]
    return [Peer(name, name.removesuffix("-guided"), program[name]) for name in names] + builds


def in_turn(field, number):
    """The field of one round: each begins with another peer, so that no peer is always first."""
    turn = number % len(field)
    return field[turn:] + field[:turn]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(probe):
    """The probe's answer, once the peer listens: it takes a moment after its start."""
    end = time.monotonic() + 10
    while True:
        try:
            return probe()
        except OSError as failure:
            if time.monotonic() > end:
                raise tools.Missing(f"a program that was started cannot be reached: {failure}") from failure
            time.sleep(0.05)


def fill(template, work, values):
    """Writes a configuration out of bench/peers with its placeholders filled in."""
    text = (tools.ROOT / "bench" / "peers" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    path = work / template
    path.write_text(text)
    return path


def values(programs, work, port, upstream, certificates=None):
    return tls(certificates) | {
        "WORK": work,
        "PORT": port,
        "UPSTREAM": upstream,
        "CLIENT": CLIENT,
        "SECRET": SECRET,
        "BASIC": base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode(),
        "TOKEN": TOKEN,
        "MODULES": programs.modules,
        "LUA": programs.lua,
    }


def tls(folder):
    """How each configuration says that the upstream speaks TLS, by a certificate of our own authority in this folder."""
    names = ["UPSTREAM_TLS_LISTEN", "UPSTREAM_TLS", "HANGUP_TLS", "ENVOY_TLS", "HAPROXY_TLS", "NGINX_TLS"]
    if folder is None:
        return dict.fromkeys(names, "") | {"SCHEME": "http"}
    authority = folder / "ca.pem"
    return {
        "SCHEME": "https",
        "UPSTREAM_TLS_LISTEN": "ssl",
        "UPSTREAM_TLS": f"ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; "
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:4m;",
        "HANGUP_TLS": f'ca_file = "{authority}"',
        "ENVOY_TLS": """transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          validation_context:
            trusted_ca: {filename: "%s"}
            match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: localhost}}]""" % authority,
        "HAPROXY_TLS": f"ssl verify required ca-file {authority} sni str(localhost) verifyhost localhost",
        "NGINX_TLS": f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_server_name on; proxy_ssl_name localhost;",
    }


def write_keys(peer, path):
    """A file of keys, each made by the program itself or, where there are many, like one of those. Answers the last key."""
    made = subprocess.run([peer.program, "key", "new", "bench"], capture_output=True, text=True, check=True)
    others = (made.stdout.replace('"bench"', f'"other-{n}"').replace(digest(made.stdout), hashlib.sha256(b"%d" % n).hexdigest())
              for n in range(peer.keys - 1))
    path.write_text("\n".join([*others, made.stdout]))
    return next(word for word in made.stderr.split() if word.startswith("hk_"))


def digest(block):
    return re.search(r"[0-9a-f]{64}", block)[0]


def spawn(command, cores, log, environment=None):
    """Starts a program on its cores. The affinity is inherited: setting it in the child would cost time before its start."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores if isinstance(cores, set) else {cores})
    try:
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], env=environment or tools.environment(), stdout=log, stderr=log)
    finally:
        os.sched_setaffinity(0, own)
    return process, started


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def upstream(programs, core, with_tls=False):
    """The upstream that demands the exact bearer token; its access log counts."""
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory(dir=tools.WORK) as folder, open(Path(folder) / "upstream.out", "wb") as log:
        work, port = Path(folder), free_port()
        certificates = tools.certificates(work) if with_tls else None
        config = fill("upstream.conf", work, values(programs, work, 0, port, certificates))
        process, started = spawn([programs.nginx, "-p", work, "-e", work / "early.log", "-c", config], core, log)
        try:
            # The first peer of all shall find it too.
            until(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield Running(process, port, "", work, started, certificates)
        finally:
            stop(process)


@contextlib.contextmanager
def running(peer, programs, behind, core, before=()):
    """One peer, started; `before` is a command that runs it."""
    environment = tools.environment()
    with tempfile.TemporaryDirectory(dir=tools.WORK) as folder, open(Path(folder) / "out.log", "wb") as log:
        work, port = Path(folder), free_port()
        filled = values(programs, work, port, behind.port, behind.certificates) | {"API_KEY": "", "ACCESS_LOG": ""}
        key = "unused-" + "k" * 40
        if peer.kind == "hangup":
            key = write_keys(peer, work / "keys.toml")
            environment |= {f"HANGUP__{name.upper().replace('.', '__')}": str(value) for name, value in peer.settings.items()}
            command = [peer.program, "serve", "--config", fill("hangup.toml", work, filled)]
        elif peer.kind.startswith("envoy"):
            if peer.kind == "envoy-logging":
                filled |= {"API_KEY": API_KEY.format(key=key), "ACCESS_LOG": ACCESS_LOG.format(work=work)}
            config = fill("envoy.yaml", work, filled)
            command = [peer.program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        elif peer.kind == "nginx-lua":
            command = [peer.program, "-p", work, "-e", work / "early.log", "-c", fill("nginx-lua.conf", work, filled)]
        else:
            command = [peer.program, "-db", "-f", fill("haproxy.cfg", work, filled)]
        process, started = spawn([*before, *command], core, log, environment)
        try:
            yield Running(process, port, key, work, started)
        finally:
            stop(process)
