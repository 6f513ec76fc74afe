//! A PostgreSQL of a test's own, which it may kill, stop and replace. Its programs and its user come from
//! `scripts/with-postgres`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A cluster that listens on loopback. Ended when it is dropped.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: TempDir,
    bin: PathBuf,
    user: String,
    port: u16,
}

impl Cluster {
    /// Starts one; none where the environment does not say how.
    pub(super) fn start(test: &str) -> Option<Self> {
        let said = |name: &str| std::env::var(name).ok();
        let (Some(bin), Some(user)) = (said("HANGUP_TEST_POSTGRES_BIN"), said("HANGUP_TEST_POSTGRES_USER")) else {
            println!("{test}: left out; scripts/with-postgres runs it");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let cluster = Self { folder: tempfile::tempdir_in("/tmp").expect("a folder"), bin: bin.into(), user, port };
        let path = cluster.folder.path();
        assert!(Command::new("chmod").arg("777").arg(path).status().is_ok_and(|s| s.success()), "chmod");
        cluster.create();
        cluster.run("start");
        cluster.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'first'");
        cluster.sql("postgres", "CREATE DATABASE app OWNER app");
        Some(cluster)
    }

    fn create(&self) {
        self.program("initdb", &["-U", "hangup", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let more = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nmax_connections = 100\n",
            self.port
        );
        fs::write(self.folder.path().join("more.conf"), more).expect("a file");
        let include = format!("include '{}'", self.folder.path().join("more.conf").display());
        self.shell(&format!("echo \"{include}\" >> '{}'", self.data().join("postgresql.conf").display()));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// For `store.url`.
    pub(super) fn url(&self) -> String {
        format!("postgres://app@{}/app?sslmode=disable", self.addr())
    }

    pub(super) fn run(&self, what: &str) {
        let log = self.folder.path().join("log");
        let log = log.to_str().expect("a path");
        match what {
            "start" => self.program("pg_ctl", &["-w", "-t", "60", "-l", log, "start"]),
            "kill" => self.program("pg_ctl", &["-m", "immediate", "-w", "stop"]),
            _ => self.program("pg_ctl", &[what]),
        }
    }

    /// Freezes or lets go all of its processes.
    pub(super) fn signal(&self, name: &str) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).expect("a pid");
        let leader = pid.lines().next().expect("a pid").to_owned();
        let children = Command::new("pgrep").args(["-P", &leader]).output().expect("pgrep");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let all: Vec<&str> = std::iter::once(leader.as_str()).chain(children.lines()).collect();
        let _some_may_be_gone = Command::new("kill").arg(format!("-{name}")).args(all).stderr(Stdio::null()).status();
    }

    /// Puts an empty database in its place, as a failover to a standby without data would.
    pub(super) fn replace(&self) {
        self.sql("postgres", "DROP DATABASE app WITH (FORCE)");
        self.sql("postgres", "CREATE DATABASE app OWNER app");
    }

    /// Carries out SQL as the superuser.
    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        let url = format!("postgres://hangup@127.0.0.1:{}/{database}", self.port);
        let done =
            Command::new(self.bin.join("psql")).args(["-X", "-q", "-At", &url, "-c", sql]).output().expect("psql");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Asks everybody who connects for a password.
    pub(super) fn want_passwords(&self) {
        let rules = "host all hangup 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        let file = self.folder.path().join("hba");
        fs::write(&file, rules).expect("a file");
        self.shell(&format!("cat '{}' > '{}'", file.display(), self.data().join("pg_hba.conf").display()));
        self.run("reload");
    }

    /// Speaks TLS with this certificate to callers that ask for it, from now on.
    pub(super) fn speak_tls(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.folder.path().join(name);
            fs::write(&file, text).expect("a file");
            let place = self.data().join(name);
            self.shell(&format!("umask 077; cat '{}' > '{}'", file.display(), place.display()));
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.run("reload");
    }

    fn program(&self, name: &str, arguments: &[&str]) {
        let mut words =
            vec![self.bin.join(name).display().to_string(), "-D".to_owned(), self.data().display().to_string()];
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        self.as_its_user(&words, self.folder.path());
    }

    fn shell(&self, script: &str) {
        self.as_its_user(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], self.folder.path());
    }

    /// PostgreSQL does not run as root.
    fn as_its_user(&self, words: &[String], folder: &Path) {
        let whoami = Command::new("id").arg("-un").output().expect("id");
        let mut command = if String::from_utf8_lossy(&whoami.stdout).trim() == self.user {
            Command::new(&words[0])
        } else {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &self.user, "--regid", "nogroup", "--clear-groups", &words[0]]);
            command
        };
        let log = fs::File::create(folder.join("said")).expect("a file");
        let errors = log.try_clone().expect("a file");
        let done = command.args(&words[1..]).current_dir("/").stdin(Stdio::null()).stdout(log).stderr(errors).status();
        let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
        assert!(done.is_ok_and(|status| status.success()), "{words:?}: {said}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal("CONT");
        self.signal("QUIT");
        std::thread::park_timeout(std::time::Duration::from_millis(300));
    }
}
