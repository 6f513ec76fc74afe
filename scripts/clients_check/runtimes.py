"""Runtimes and SDKs: what the machine has, and what PyPI, npm and Debian have, unpacked below target/."""
import glob
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
STAGE = TARGET / "check-clients"
CLIENTS = ROOT / "clients"


class Skip(Exception):
    """Something is not at hand on this machine."""


def check(truth, message):
    if not truth:
        raise AssertionError(message)


def run(*command, timeout=240, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout, **more)


def need(program):
    return shutil.which(program) or skip(f"{program} is not on this machine")


def skip(reason):
    raise Skip(reason)


def python_venv():
    """A venv with the official SDK, and what the Data Action's check needs."""
    venv = STAGE / "venv"
    if not (venv / "bin/python").exists():
        done = run(sys.executable, "-m", "venv", venv)
        if done.returncode:
            shutil.rmtree(venv, ignore_errors=True)
            skip(f"no venv: {last_line(done)}")
    done = run(venv / "bin/pip", "install", "--quiet", "--upgrade", "purecloudplatformclientv2", "airspeed", "jsonschema")
    if done.returncode:
        skip(f"PyPI: {last_line(done)}")
    return venv / "bin/python"


def node_sdk():
    """A folder with the official SDK, where node finds it from."""
    need("npm")
    folder = STAGE / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private":true}')
    done = run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "purecloud-platform-client-v2@latest", cwd=folder)
    if done.returncode:
        skip(f"npm: {last_line(done)}")
    # An import is looked up from the file's own place.
    shutil.copy(CLIENTS / "node/sdk.mjs", folder / "sdk.mjs")
    return folder / "sdk.mjs"


def debian():
    """What Debian packages, unpacked beside us: nothing is installed, no service starts."""
    root, archives = STAGE / "debian", STAGE / "archives"
    wanted = {"php": "php-cli", "nginx": "nginx-light", "caddy": "caddy"}
    missing = [package for program, package in wanted.items() if not shutil.which(program)]
    if not Path("/usr/share/php/GuzzleHttp/autoload.php").exists():
        missing.append("php-guzzlehttp-guzzle")
    if not missing or (root / ".done").exists():
        return root
    apt = shutil.which("apt-get") or skip("neither PHP, nginx and Caddy nor apt-get are on this machine")
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    download = [
        apt, "install", "-y", "-qq", "--no-install-recommends", "--download-only", "-o", "Debug::NoLocking=1",
        "-o", f"Dir::Cache::archives={archives.resolve()}", *missing,
    ]
    done = run(*download)
    if done.returncode:
        run(apt, "update", "-qq")
        done = run(*download)
    if done.returncode:
        skip(f"Debian: {last_line(done)}")
    for archive in archives.glob("*.deb"):
        run("dpkg", "-x", archive, root)
    (root / ".done").touch()
    return root


def last_line(done):
    return ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]


class Once:
    """Prepares a runtime once, for whoever comes first."""

    def __init__(self, prepare):
        self.prepare, self.lock, self.result = prepare, threading.Lock(), None

    def __call__(self):
        with self.lock:
            if self.result is None:
                try:
                    self.result = (self.prepare(), None)
                except Skip as reason:
                    self.result = (None, reason)
        value, reason = self.result
        if reason:
            raise reason
        return value


python_venv, node_sdk, debian = Once(python_venv), Once(node_sdk), Once(debian)


def php_command():
    system, root = shutil.which("php"), debian()
    found = [system] if system else glob.glob(str(root / "usr/bin/php8.*"))
    if not found:
        skip("PHP is not on this machine, and was not to be had")
    command = [found[0], "-d", f"include_path=/usr/share/php:{root}/usr/share/php"]
    if not system:  # unpacked, not installed: no configuration names its extensions
        command += ["-n", "-d", f"extension_dir={glob.glob(str(root / 'usr/lib/php/20*'))[0]}", "-d", "extension=ctype"]
    return command


def program(name):
    found = shutil.which(name) or next(iter(glob.glob(str(debian() / f"usr/*bin/{name}"))), None)
    return found or skip(f"{name} is not on this machine, and was not to be had")
