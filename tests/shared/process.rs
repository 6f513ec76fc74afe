//! The real binary as a child process, configured by its environment.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::signal;

/// Longest wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the file names of processes in one directory unique.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// How the binary is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    environment: Vec<(String, String)>,
    descriptors: Option<u64>,
    blocked_stdout: bool,
    directory: Arc<TempDir>,
}

impl Launch {
    /// Against this upstream, on a free port, with a directory of its own and everything else as by default.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let launch = Self { environment: Vec::new(), descriptors: None, blocked_stdout: false, directory };
        launch
            .set("server.bind", "127.0.0.1:0")
            .set("genesys.api_url", &format!("http://{upstream}"))
            .set("genesys.login_url", &format!("http://{upstream}"))
            .set("genesys.client_id", "sandbox")
            .set("genesys.client_secret", "sandbox-secret")
    }

    /// Sets one key of the configuration; an empty value leaves the default.
    pub(crate) fn set(self, key: &str, value: &str) -> Self {
        self.variable(&format!("HANGUP__{}", key.to_ascii_uppercase().replace('.', "__")), value)
    }

    /// Sets a variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the process open at most this many descriptors.
    pub(crate) fn descriptors(self, count: u64) -> Self {
        Self { descriptors: Some(count), ..self }
    }

    /// Gives it a stdout that is never read. Its addresses must be fixed then.
    pub(crate) fn blocked_stdout(self) -> Self {
        Self { blocked_stdout: true, ..self }
    }

    /// A file in its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The binary with this environment and no other.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let binary = env!("CARGO_BIN_EXE_hangup");
        let mut command = match self.descriptors {
            None => Command::new(binary),
            Some(count) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\""), binary]);
                command
            }
        };
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("STATE_DIRECTORY", self.directory.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts `serve` and waits until it listens.
    pub(crate) async fn start(self) -> Process {
        self.start_with(&[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(self, arguments: &[&str]) -> Process {
        let nth = STARTED.fetch_add(1, Ordering::Relaxed);
        let (log, errors) = (self.file(&format!("stdout.{nth}")), self.file(&format!("stderr.{nth}")));
        let stdout = if self.blocked_stdout { Stdio::piped() } else { File::create(&log).unwrap().into() };
        let stderr = File::create(&errors).unwrap();
        let mut command = self.command(&[&["serve"], arguments].concat());
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let directory = Arc::clone(&self.directory);
        let nowhere = ([0, 0, 0, 0], 0).into();
        let mut process =
            Process { addr: nowhere, admin: nowhere, url: String::new(), child, log, errors, _directory: directory };
        if self.blocked_stdout {
            process.listens_at(self.given("HANGUP__SERVER__BIND"), self.given("HANGUP__ADMIN__BIND"));
        } else {
            let line = process.line("listening").await;
            let address = |name: &str| line[name].as_str().and_then(|addr| addr.parse().ok());
            process.listens_at(address("addr"), address("admin_addr"));
        }
        process
    }

    fn given(&self, name: &str) -> Option<SocketAddr> {
        self.environment.iter().find(|(known, _)| known == name)?.1.parse().ok()
    }
}

/// A running `hangup serve`; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// Where callers reach it.
    pub(crate) addr: SocketAddr,
    /// Where operators reach it: the same place, where it has no other.
    pub(crate) admin: SocketAddr,
    /// `addr` as a URL.
    pub(crate) url: String,
    child: Child,
    log: PathBuf,
    errors: PathBuf,
    /// Its files stay as long as it runs.
    _directory: Arc<TempDir>,
}

impl Process {
    fn listens_at(&mut self, addr: Option<SocketAddr>, admin: Option<SocketAddr>) {
        self.addr = addr.unwrap();
        self.admin = admin.unwrap_or(self.addr);
        self.url = format!("http://{}", self.addr);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The whole log so far.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// What went to stderr.
    pub(crate) fn errors(&self) -> String {
        read(&self.errors)
    }

    /// Lines of the log with this event.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// The first line with this event, waiting for it.
    pub(crate) async fn line(&mut self, event: &str) -> Value {
        let began = Instant::now();
        loop {
            // Asked first: what it logs before its end is in the log then.
            let (running, late) = (self.is_running(), began.elapsed() > PATIENCE);
            if let Some(line) = self.events(event).into_iter().next() {
                return line;
            }
            assert!(running && !late, "{event} is never logged: {}{}", self.log(), self.errors());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Asks it to stop, and waits for its exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        let ended = self.ended(PATIENCE).await;
        ended.unwrap_or_else(|| panic!("it does not end: {}", self.log())).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
