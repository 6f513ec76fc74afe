"""A small OpenID Connect issuer: discovery, an authorization endpoint at which everybody is alice, a token endpoint that checks
PKCE, and a key set. Needs openssl."""

import base64
import hashlib
import http.server
import json
import subprocess
import tempfile
import threading
import time
import urllib.parse


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Leaving its context ends it."""

    def __init__(self, client, permissions):
        self.client, self.permissions, self.refuses = client, permissions, False
        self.codes, self.granted, self.token = {}, 0, ""
        self.folder = tempfile.TemporaryDirectory(prefix="issuer-")
        self.key = f"{self.folder.name}/key.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        self.modulus = encoded(bytes.fromhex(modulus.stdout.strip().split("=")[1]))
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802, the name is http.server's
                issuer.get(self)

            def do_POST(self):  # noqa: N802
                issuer.redeem(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    @staticmethod
    def answer(request, value, status=200):
        body = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Access-Control-Allow-Origin", request.headers.get("Origin", "*"))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def get(self, request):
        path, _, query = request.path.partition("?")
        if path == "/.well-known/openid-configuration":
            self.answer(request, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}authorize", "token_endpoint": f"{self.url}token",
                "jwks_uri": f"{self.url}jwks",
            })
        elif path == "/jwks":
            key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": self.modulus, "e": "AQAB"}
            self.answer(request, {"keys": [key]})
        elif path == "/authorize":
            self.authorize(request, dict(urllib.parse.parse_qsl(query)))
        else:
            self.answer(request, {}, 404)

    def authorize(self, request, asked):
        assert asked["client_id"] == self.client and asked["response_type"] == "code", asked
        assert asked["code_challenge_method"] == "S256" and asked["audience"] == "hangup", asked
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        answer = {"state": asked["state"], "iss": self.url}
        answer |= {"error": "access_denied", "error_description": "not today"} if self.refuses else {"code": code}
        request.send_response(302)
        request.send_header("Location", f"{asked['redirect_uri']}?{urllib.parse.urlencode(answer)}")
        request.end_headers()

    def redeem(self, request):
        sent = dict(urllib.parse.parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        asked = self.codes.pop(sent["code"], None)
        proof = encoded(hashlib.sha256(sent["code_verifier"].encode()).digest())
        if asked is None or proof != asked["code_challenge"] or sent["redirect_uri"] != asked["redirect_uri"]:
            return self.answer(request, {"error": "invalid_grant"}, 400)
        self.granted += 1
        self.token = self.signed({
            "iss": self.url, "aud": "hangup", "sub": "alice", "exp": int(time.time()) + 300, "permissions": self.permissions,
        })
        return self.answer(request, {"access_token": self.token, "token_type": "Bearer", "expires_in": 300})

    def signed(self, claims):
        parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "at+jwt", "kid": "1"}, claims)]
        text = ".".join(parts)
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True, capture_output=True)
        return f"{text}.{encoded(made.stdout)}"
