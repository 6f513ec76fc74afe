"""Runtimes and SDKs: what the machine has, and what PyPI, npm and Debian have, unpacked below target/."""
import glob
import hashlib
import json
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
    done = run(venv / "bin/pip", "install", "--quiet", "--upgrade", "purecloudplatformclientv2", "airspeed", "jsonschema",
               "tree-sitter==0.26.0", "tree-sitter-powershell==0.26.4")
    if done.returncode:
        skip(f"PyPI: {last_line(done)}")
    return venv / "bin/python"


def npm(name, package):
    """A folder with a package of the npm registry."""
    need("npm")
    folder = STAGE / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private":true}')
    done = run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package, cwd=folder)
    if done.returncode:
        output = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        skip(f"npm: {'; '.join(output[:4]) or last_line(done)}")
    return folder


def node_sdk():
    """A folder with the official SDK, where node finds it from."""
    folder = npm("npm", "purecloud-platform-client-v2@latest")
    # An import is looked up from the file's own place.
    shutil.copy(CLIENTS / "node/sdk.mjs", folder / "sdk.mjs")
    return folder / "sdk.mjs"


def debian():
    """What Debian packages, unpacked beside us: nothing is installed, no service starts."""
    archives = STAGE / "archives"
    wanted = {
        "php": ["php-cli", "php-sqlite3", "php-mbstring"], "nginx": ["nginx-light"], "caddy": ["caddy"], "go": ["golang-go"],
        "mcs": ["mono-mcs"],
    }
    missing = [package for name, packages in wanted.items() if not shutil.which(name) for package in packages]
    php = {"GuzzleHttp": "guzzlehttp-guzzle", "Illuminate/Http": "illuminate-http", "Illuminate/Queue": "illuminate-queue",
           "Illuminate/Events": "illuminate-events", "Illuminate/Config": "illuminate-config"}
    missing += [f"php-{package}" for folder, package in php.items() if not Path(f"/usr/share/php/{folder}/autoload.php").exists()]
    # Another list is another folder: what an earlier version of this script unpacked is not enough.
    root = STAGE / f"debian-{hashlib.sha256(' '.join(missing).encode()).hexdigest()[:12]}"
    if not missing or (root / ".done").exists():
        return root
    apt = shutil.which("apt-get") or skip(f"neither {', '.join(missing)} nor apt-get are on this machine")
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


def go_program():
    """The Go piece, vetted and built."""
    system, root = shutil.which("go"), debian()
    compiler = system or next(iter(glob.glob(str(root / "usr/lib/go-1.*/bin/go"))), None) or skip("Go is not available here")
    env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str((STAGE / "go-cache").resolve()), "GOFLAGS": "-trimpath", "GO111MODULE": "off"}
    if not system:
        env["GOROOT"] = str(Path(compiler).parent.parent.resolve())
    for command in (["vet"], ["build", "-o", STAGE / "hangup-go"]):
        done = run(compiler, *command, CLIENTS / "go/hangup.go", env=env)
        check(done.returncode == 0, done.stderr)
    return STAGE / "hangup-go"


def dotnet_program():
    """The C# piece: compiled by Mono's compiler against the .NET runtime that a package on PyPI carries, and run on that."""
    folder = (STAGE / "dotnet").resolve()
    dotnet = folder / "dotnetcore2/bin/dotnet"
    if not dotnet.exists():
        done = run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "dotnetcore2==3.1.23")
        if done.returncode:
            skip(f"PyPI: {last_line(done)}")
    framework = next(iter((dotnet.parent / "shared/Microsoft.NETCore.App").iterdir()))
    mono = debian().resolve() / "usr/lib/mono/4.5"
    compiler = [shutil.which("mcs")] if shutil.which("mcs") else [mono.parents[2] / "bin/mono-sgen", mono / "mcs.exe"]
    env = {**os.environ, "MONO_PATH": str(mono), "MONO_CFG_DIR": str(mono.parents[3] / "etc")}
    references = [f"-r:{file}" for pattern in ("System.*.dll", "netstandard.dll", "mscorlib.dll") for file in framework.glob(pattern)]
    done = run(*compiler, "-nostdlib", "-noconfig", "-nowarn:1702", *references, f"-out:{folder}/Hangup.dll", CLIENTS / "dotnet/Hangup.cs", env=env)
    check(done.returncode == 0, done.stdout + done.stderr)
    (folder / "Hangup.runtimeconfig.json").write_text(json.dumps({"runtimeOptions": {
        "framework": {"name": "Microsoft.NETCore.App", "version": framework.name},
        "configProperties": {"System.Globalization.Invariant": True},
    }}))
    return [dotnet, folder / "Hangup.dll"]


def last_line(done):
    return ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]


class Once:
    """Prepares a runtime once, when it is first needed."""

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
go_program, dotnet_program = Once(go_program), Once(dotnet_program)


PHP_EXTENSIONS = [part for name in ("ctype", "mbstring", "pdo", "pdo_sqlite", "tokenizer") for part in ("-d", f"extension={name}")]


def php_command():
    system, root = shutil.which("php"), debian()
    found = [system] if system else glob.glob(str(root / "usr/bin/php8.*"))
    if not found:
        skip("PHP is not on this machine, and could not be installed")
    command = [found[0], "-d", f"include_path=/usr/share/php:{root}/usr/share/php"]
    if not system:  # unpacked, not installed: no configuration names its extensions
        command += ["-n", "-d", f"extension_dir={glob.glob(str(root / 'usr/lib/php/20*'))[0]}", *PHP_EXTENSIONS]
    return command


def program(name):
    found = shutil.which(name) or next(iter(glob.glob(str(debian() / f"usr/*bin/{name}"))), None)
    return found or skip(f"{name} is not on this machine, and could not be installed")
