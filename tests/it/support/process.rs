//! The real binary in front of a sandbox in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use hangup::config::Config;
use hangup::sandbox::{Conference, ConversationSpec, Sandbox};
use http::Method;
use serde_json::Value;
use uuid::Uuid;

use super::ask::Reach;
use super::{Ask, StandIn};
use crate::shared::process::Launch;

pub(crate) use crate::shared::process::Process;

/// A stand-in, and how the binary is started in front of it.
pub(crate) struct Binary {
    pub(crate) sandbox: Sandbox,
    pub(crate) addr: SocketAddr,
    pub(crate) conference: Conference,
    pub(crate) client: reqwest::Client,
    launch: Launch,
    _stand_in: StandIn,
}

impl Binary {
    pub(crate) async fn new() -> Self {
        let stand_in = StandIn::serving(&Config::defaults().sandbox);
        let conference = stand_in.sandbox.create_conference(ConversationSpec::default());
        // A commit waits for the disk, which all tests share.
        let launch = Launch::new(stand_in.addr).set("shutdown.grace", "0s").set("store.timeout", "5s");
        Self {
            sandbox: stand_in.sandbox.clone(),
            addr: stand_in.addr,
            conference,
            client: CLIENT.clone(),
            launch,
            _stand_in: stand_in,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.launch.file(name)
    }

    /// Makes a key `ivr`: the key, the name of the file of keys, and the name of a file for the audit.
    pub(crate) fn key_and_audit(&self) -> (String, String, String) {
        let made = hangup::callers::new_key("ivr").unwrap();
        std::fs::write(self.path("keys.toml"), &made.toml).unwrap();
        (made.text, text(&self.path("keys.toml")), text(&self.path("audit.jsonl")))
    }

    /// How it is started with this environment.
    pub(crate) fn launch(&self, environment: &[(&str, &str)]) -> Launch {
        environment.iter().fold(self.launch.clone(), |launch, (name, value)| launch.variable(name, value))
    }

    /// The binary with this environment and no other.
    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = self.launch(environment).command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
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
        self.launch(environment).start_with(arguments).await
    }

    /// Path of the disconnect for that participant of the conference.
    pub(crate) fn disconnect(&self, participant: Uuid) -> String {
        format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id)
    }

    pub(crate) fn who(&self, purpose: &str) -> Uuid {
        self.conference.first(purpose).unwrap()
    }
}

/// Keeps no connection, because it outlives the runtimes of single tests.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).pool_max_idle_per_host(0);
    client.build().unwrap()
});

impl Process {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut ask = Ask::new(Reach::Url(CLIENT.clone(), self.url.clone()), method, path).body(body);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let answer = ask.send().await;
        (answer.status, answer.text)
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        self.ask(Method::POST, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        self.ask(Method::GET, path, headers, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> (u16, String) {
        self.ask(Method::PUT, path, &[], body).await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.1;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
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
