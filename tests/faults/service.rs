//! The real binary as a child process, configured by its environment.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::http::{Answer, Caller};
use super::shared::signal;

/// Longest wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a service is started.
#[derive(Debug)]
pub(crate) struct Plan {
    environment: Vec<(String, String)>,
    descriptors: Option<u64>,
    blocked_stdout: bool,
    pub(crate) directory: TempDir,
}

impl Plan {
    /// Against this upstream, on free ports, with everything else as by default.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let plan = Self {
            environment: Vec::new(),
            descriptors: None,
            blocked_stdout: false,
            directory: tempfile::tempdir().expect("a directory"),
        };
        plan.set("server.bind", "127.0.0.1:0")
            .set("admin.bind", "127.0.0.1:0")
            .set("genesys.api_url", &format!("http://{upstream}"))
            .set("genesys.login_url", &format!("http://{upstream}"))
            .set("genesys.client_id", "sandbox")
            .set("genesys.client_secret", "sandbox-secret")
            // All callers here have one address.
            .set("server.max_connections_per_address", "12000")
    }

    /// Sets one key of the configuration; an empty value leaves the default.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("HANGUP__{}", key.to_ascii_uppercase().replace('.', "__"));
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Sets a variable of the environment that is none of ours.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the process open so many descriptors and no more.
    pub(crate) fn descriptors(self, count: u64) -> Self {
        Self { descriptors: Some(count), ..self }
    }

    /// Gives it a stdout that nobody reads. Its addresses must be fixed then.
    pub(crate) fn blocked_stdout(self) -> Self {
        Self { blocked_stdout: true, ..self }
    }

    /// A file in the directory of the service.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Service {
        let log = self.file("stdout");
        let binary = env!("CARGO_BIN_EXE_hangup");
        let mut command = match self.descriptors {
            None => Command::new(binary),
            Some(count) => {
                let mut command = Command::new("sh");
                command.args(["-c", "ulimit -n \"$0\" && exec \"$1\" serve", &count.to_string(), binary]);
                command
            }
        };
        if self.descriptors.is_none() {
            command.arg("serve");
        }
        let stdout = if self.blocked_stdout { Stdio::piped() } else { File::create(&log).expect("a log").into() };
        let errors = File::create(self.file("stderr")).expect("a file");
        let path = std::env::var("PATH").unwrap_or_default();
        let child = command
            .env_clear()
            .env("PATH", path)
            .env("STATE_DIRECTORY", self.directory.path())
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(errors)
            .spawn()
            .expect("the binary starts");
        let given = |key: &str| {
            let found = self.environment.iter().find(|(k, _)| k == key)?;
            found.1.parse::<SocketAddr>().ok()
        };
        let mut service = Service {
            addr: given("HANGUP__SERVER__BIND").expect("an address"),
            admin: given("HANGUP__ADMIN__BIND").expect("an address"),
            child,
            log,
            directory: self.directory,
        };
        if service.addr.port() == 0 {
            service.find_addresses().await;
        }
        service
    }
}

/// The service under test. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    log: PathBuf,
    pub(crate) directory: TempDir,
}

impl Service {
    async fn find_addresses(&mut self) {
        let line = self.logged("\"event\":\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = |name: &str| line[name].as_str().and_then(|a| a.parse().ok()).expect("an address");
        (self.addr, self.admin) = (address("addr"), address("admin_addr"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.addr)
    }

    pub(crate) fn operator(&self) -> Caller {
        Caller::new(self.admin)
    }

    /// The whole log so far.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// What went to stderr.
    pub(crate) fn errors(&self) -> String {
        read(&self.directory.path().join("stderr"))
    }

    /// Waits for a line with this in it.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            let over = self.child.try_wait().expect("a child");
            let late = began.elapsed() > PATIENCE;
            assert!(over.is_none() && !late, "{text} is never logged: {}{}", self.log(), self.errors());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// One look at `/readyz`.
    pub(crate) async fn readiness(&self) -> std::io::Result<Answer> {
        self.operator().get("/readyz").await
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        let began = Instant::now();
        while !self.readiness().await.is_ok_and(|answer| answer.status == 200) {
            assert!(began.elapsed() < PATIENCE, "it never gets ready: {}{}", self.log(), self.errors());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The value of a metric, all its labels added up.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = self.operator().get("/metrics").await.expect("metrics");
        let lines = answer.body.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < within {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status);
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
