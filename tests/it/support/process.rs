//! The real binary in front of a sandbox in this process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hangup::config::Config;
use hangup::sandbox::{Conference, ConversationSpec, Sandbox};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::StandIn;
use crate::shared::signal;

/// A stand-in, a directory for files, and the environment that points the binary at them.
pub(crate) struct Binary {
    pub(crate) sandbox: Sandbox,
    pub(crate) addr: SocketAddr,
    pub(crate) conference: Conference,
    pub(crate) dir: TempDir,
    pub(crate) client: reqwest::Client,
    stand_in: StandIn,
}

impl Binary {
    pub(crate) async fn new() -> Self {
        let stand_in = StandIn::start(&Config::defaults().sandbox);
        let conference = stand_in.sandbox.create_conference(ConversationSpec::default());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { sandbox: stand_in.sandbox.clone(), addr: stand_in.addr, conference, dir, client, stand_in }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a key `ivr`: the key, the name of the file of keys, and the name of a file for the audit.
    pub(crate) fn key_and_audit(&self) -> (String, String, String) {
        let made = hangup::callers::new_key("ivr").unwrap();
        std::fs::write(self.path("keys.toml"), &made.toml).unwrap();
        (made.text, text(&self.path("keys.toml")), text(&self.path("audit.jsonl")))
    }

    /// The binary with this environment and nothing else's.
    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hangup"));
        let upstream = self.stand_in.url();
        command
            .args(arguments)
            .env_clear()
            .env("STATE_DIRECTORY", self.dir.path())
            .env("HANGUP__SERVER__BIND", "127.0.0.1:0")
            .env("HANGUP__GENESYS__API_URL", &upstream)
            .env("HANGUP__GENESYS__LOGIN_URL", &upstream)
            .env("HANGUP__GENESYS__CLIENT_ID", "sandbox")
            .env("HANGUP__GENESYS__CLIENT_SECRET", "sandbox-secret")
            .env("HANGUP__SHUTDOWN__GRACE", "0s")
            // A commit waits for the disk, which all tests share.
            .env("HANGUP__STORE__TIMEOUT", "5s")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end, and leaves the sandbox its turn meanwhile.
    pub(crate) async fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments, environment);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Adds a fault to the sandbox.
    pub(crate) async fn fault(&self, rule: &str) {
        let url = format!("http://{}/sandbox/faults", self.addr);
        let answer = self.client.post(url).body(rule.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Changes the sandbox's settings.
    pub(crate) async fn settings(&self, change: &str) {
        let url = format!("http://{}/sandbox/settings", self.addr);
        let answer = self.client.patch(url).body(change.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn serve(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut all = vec!["serve"];
        all.extend(arguments);
        let mut child = self.command(&all, environment).spawn().unwrap();
        let lines = Lines::follow(child.stdout.take().unwrap());
        let mut service = Process { child, lines, url: String::new(), client: self.client.clone() };
        let listening = service.line("listening").await;
        service.url = format!("http://{}", listening["addr"].as_str().unwrap());
        service
    }

    /// Path of the disconnect for that participant of the conference.
    pub(crate) fn disconnect(&self, participant: Uuid) -> String {
        format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id)
    }

    pub(crate) fn who(&self, purpose: &str) -> Uuid {
        self.conference.first(purpose).unwrap()
    }
}

/// Lines of a process's output so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(stdout: ChildStdout) -> Self {
        let lines = Self::default();
        let into = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                into.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    pub(crate) fn json(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        self.json().into_iter().filter(|line| line["event"] == event).collect()
    }
}

/// A running `hangup serve`; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) lines: Lines,
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Process {
    /// The first line with this event, waiting for it.
    pub(crate) async fn line(&mut self, event: &str) -> Value {
        for _ in 0..1000 {
            if let Some(line) = self.lines.events(event).first() {
                return line.clone();
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let mut errors = String::new();
                let _ = self.child.stderr.as_mut().unwrap().read_to_string(&mut errors);
                panic!("ended with {status} before \"{event}\": {errors}\n{}", self.lines.text());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line \"{event}\" in\n{}", self.lines.text());
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut request = self.client.post(format!("{}{path}", self.url)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> (u16, String) {
        let answer = self.client.put(format!("{}{path}", self.url)).body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = self.client.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.1;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Asks it to stop, and waits for its exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().await
    }

    pub(crate) async fn ended(&mut self) -> Option<i32> {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end\n{}", self.lines.text());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The records in an audit file.
pub(crate) fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
