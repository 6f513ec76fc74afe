"""The reverse proxies of docs/REACHABILITY.md, and TLS in hangup itself."""
import json
import time
import uuid

from .house import free_port
from .runtimes import CLIENTS, Once, check, need, program, run


def certificates(folder):
    """A CA, a certificate of it for hangup.example.com, and one for a caller."""
    need("openssl")

    def openssl(*arguments):
        done = run("openssl", *arguments, cwd=folder)
        check(done.returncode == 0, done.stderr)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=check CA")
    for name, alternative in (("server", "DNS:hangup.example.com"), ("client", "DNS:caller.example.com")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\nbasicConstraints=CA:FALSE\n")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def logged(log, request):
    """The line about a request. Lines are written some milliseconds after the answer."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for line in log.read_text().splitlines():
            if request in line and '"request"' in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"no line about {request}")


def reachability(house):
    """The reverse proxies of docs/REACHABILITY.md, and TLS in hangup itself."""
    folder = house.folder
    made = Once(lambda: certificates(folder) or True)

    def call(port, path, *more, source="127.0.0.1"):
        name = "hangup.example.com"
        done = run(need("curl"), "--silent", "--show-error", "--cacert", folder / "ca.pem", "--interface", source, "--resolve",
                   f"{name}:{port}:127.0.0.1", "--path-as-is", "--write-out", "\n%{http_code} %{content_type}", *more,
                   f"https://{name}:{port}{path}")
        body, _, output = done.stdout.rpartition("\n")
        return done.returncode, *output.partition(" ")[::2], body

    def behind_a_proxy(name, configure):
        def body():
            made()
            port, started = free_port(), configure()
            command, log = started(port)
            proxy = house.spawn(name, command, port, stdout=log, stderr=log)
            try:
                c = house.conference()
                disconnect = f"/conversations/{c.id}/participants/{c.customer}/disconnect"
                key = ["-X", "POST", "-H", f"X-API-Key: {house.keys['ivr']}"]
                request = str(uuid.uuid4())
                spoof = ["-H", f"X-Request-Id: {request}", "-H", "X-Forwarded-For: 198.51.100.7"]
                got = call(port, disconnect, *key, *spoof, "-H", "Prefer: wait=5", source="127.0.0.2")
                check(got[:2] == (0, "200") and '"disconnected"' in got[3], f"{got}")
                c.gone(c.customer)
                line = logged(folder / "serve.log", request)
                check('"127.0.0.2"' in line, f"not the caller's address: {line}")
                for path in ("/metrics", "/readyz", "/docs", "/sandbox/conversations"):
                    got = call(port, path)
                    check(got[1:3] == ("404", "application/json") and not json.loads(got[3])["ok"], f"{path}: {got}")
                later = json.dumps({"after": "30m", "items": [{"conversationId": c.id, "participantId": c.agent}]})
                got = call(port, "/jobs", *key, "-H", "Content-Type: application/json", "--data", later, source="127.0.0.2")
                check(got[1] == "202" and '"scheduled"' in got[3], f"{got}")
                got = call(port, json.loads(got[3])["jobUrl"] + "/cancel", *key, source="127.0.0.2")
                check(got[1] == "200" and '"cancelled"' in got[3], f"{got}")
                got = call(port, "/conversations//participants/x/disconnect", *key)
                check(got[1] == "400" and "invalid_conversation_id" in got[3], f"{got}")
                got = call(port, disconnect, *key, "--data", "x" * 20000)
                check(got[1] == "413" and json.loads(got[3])["ok"] is False, f"{got}")
                got = call(port, disconnect, *key, source="127.0.0.3")
                check(got[1:3] == ("403", "application/json") and not json.loads(got[3])["ok"], f"{got}")
            finally:
                proxy.terminate()
                proxy.wait(15)
            # The service away: still JSON, and a Retry-After.
            port = free_port()
            command, log = started(port, upstream=free_port())
            proxy = house.spawn(name, command, port, stdout=log, stderr=log)
            try:
                got = call(port, disconnect, *key, "--dump-header", folder / f"{name}.headers")
                headers = (folder / f"{name}.headers").read_text().lower()
                check(got[1:3] == ("503", "application/json") and json.loads(got[3])["retryable"], f"{got}")
                check("\nretry-after: 2" in headers, headers)
            finally:
                proxy.terminate()
                proxy.wait(15)

        body.__name__ = f"{name} hides all but the callers' paths and answers JSON"
        return body

    def changed(file, port, upstream, *more):
        text = (CLIENTS / "proxy" / file).read_text()
        changes = [
            ("127.0.0.1:8080", f"127.0.0.1:{upstream}"), ("/etc/ssl/hangup.example.com.pem", str(folder / "server.pem")),
            ("/etc/ssl/hangup.example.com.key", str(folder / "server.key")), *more,
        ]
        for old, new in changes:
            check(old in text, f"{file} has no {old}")
            text = text.replace(old, new)
        return text

    def nginx():
        binary = program("nginx")

        def start(port, upstream=house.port):
            site = changed("nginx.conf", port, upstream, ("listen 443", f"listen 127.0.0.1:{port}"),
                           ("allow 203.0.113.0/24;", "allow 127.0.0.1; allow 127.0.0.2;"))
            temporary = " ".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in
                                 ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            (folder / "nginx.conf").write_text(
                f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off; {temporary}\n{site}\n}}")
            return [binary, "-e", "stderr", "-c", folder / "nginx.conf"], open(folder / "nginx.log", "w")

        return start

    def caddy():
        binary = program("caddy")

        def start(port, upstream=house.port):
            site = changed("Caddyfile", port, upstream, ("\nhangup.example.com {", f"\nhangup.example.com:{port} {{"),
                           ("203.0.113.0/24", "127.0.0.1 127.0.0.2"))
            settings = "{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system " + f"{folder}/caddy\n}}\n"
            (folder / "Caddyfile").write_text(settings + site)
            return [binary, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"], open(folder / "caddy.log", "w")

        return start

    def tls_in_hangup_itself():
        made()
        port = free_port()
        house.serve("tls", port, SERVER__TLS__CERT=folder / "server.pem", SERVER__TLS__KEY=folder / "server.key")
        c = house.conference()
        got = call(port, f"/conversations/{c.id}/participants/{c.customer}/disconnect", "-X", "POST", "-H",
                   f"X-API-Key: {house.keys['ivr']}", "-H", "Prefer: wait=5")
        check(got[:2] == (0, "200"), f"{got}")
        c.gone(c.customer)

    def mutual_tls_keeps_strangers_out():
        made()
        port = free_port()
        house.serve("mtls", port, SERVER__TLS__CERT=folder / "server.pem", SERVER__TLS__KEY=folder / "server.key",
                    SERVER__TLS__CLIENT_CA=folder / "ca.pem")
        c = house.conference()
        disconnect = [f"/conversations/{c.id}/participants/{c.customer}/disconnect", "-X", "POST", "-H", "Prefer: wait=5"]
        disconnect += ["-H", f"X-API-Key: {house.keys['ivr']}"]
        code, status, *_ = call(port, *disconnect)
        check(code != 0 and status == "000", f"{code} {status}")
        c.gone()
        code, status, *_ = call(port, *disconnect, "--cert", folder / "client.pem", "--key", folder / "client.key")
        check((code, status) == (0, "200"), f"{code} {status}")
        c.gone(c.customer)

    return [behind_a_proxy("nginx", nginx), behind_a_proxy("caddy", caddy), tls_in_hangup_itself, mutual_tls_keeps_strangers_out]
