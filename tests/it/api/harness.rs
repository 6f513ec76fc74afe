//! A service and a sandbox on free ports, and a client that keeps what came back.

use std::net::SocketAddr;
use std::time::Duration;

use hangup::app::{App, Upstream};
use hangup::config::Config;
use hangup::sandbox::{self, Conference, ConversationSpec, Sandbox};
use reqwest::Method;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A running service with its sandbox. Both end when it is dropped.
pub(crate) struct Service {
    pub(crate) sandbox: Sandbox,
    pub(crate) conference: Conference,
    pub(crate) url: String,
    pub(crate) admin_url: Option<String>,
    client: reqwest::Client,
    config: Config,
    service_stop: CancellationToken,
    stop: CancellationToken,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// One member of the body.
    pub(crate) fn get(&self, member: &str) -> Value {
        self.json().get(member).cloned().unwrap_or_else(|| panic!("no {member} in {self:?}"))
    }

    /// Status and outcome or code, in one word for comparisons.
    pub(crate) fn verdict(&self) -> String {
        let json = self.json();
        let word = json.get("outcome").or_else(|| json.get("code")).and_then(Value::as_str).unwrap_or("-").to_owned();
        format!("{} {word}", self.status)
    }
}

/// Settings for a service in front of `upstream`.
pub(crate) fn config(upstream: SocketAddr) -> Config {
    let mut config = Config::defaults();
    config.server.bind = "127.0.0.1:0".parse().unwrap();
    config.genesys.api_url = Some(format!("http://{upstream}"));
    config.genesys.login_url = Some(format!("http://{upstream}"));
    config.genesys.client_id = Some("sandbox".to_owned());
    config.genesys.client_secret = Some("sandbox-secret".into());
    config.sandbox.effect_delay = Duration::from_millis(100);
    config.shutdown.grace = Duration::ZERO;
    config.store.url = "memory".into();
    config
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts with settings changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = sandbox::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut config = config(listener.local_addr().unwrap());
        change(&mut config);
        let stand_in = Sandbox::new(&config.sandbox);
        let conference = stand_in.create_conference(ConversationSpec::default());
        let stop = CancellationToken::new();
        tokio::spawn(stand_in.clone().serve(listener, stop.clone()));
        Self::over(stand_in, conference, config, stop).await
    }

    async fn over(sandbox: Sandbox, conference: Conference, config: Config, stop: CancellationToken) -> Self {
        let app = App::build(config.clone(), Upstream::Sockets).await.unwrap();
        let url = format!("http://{}", app.addr().unwrap());
        let admin_url = app.admin_addr().map(|addr| format!("http://{addr}"));
        let service_stop = stop.child_token();
        tokio::spawn(app.run_until(service_stop.clone().cancelled_owned(), std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox, conference, url, admin_url, client, config, service_stop, stop }
    }

    /// Another service with the same settings before the same sandbox, after this one was told to stop.
    pub(crate) async fn restart(&self) -> Self {
        self.service_stop.cancel();
        let stop = self.stop.clone();
        Self::over(self.sandbox.clone(), self.conference.clone(), self.config.clone(), stop).await
    }

    /// The id of the first participant of that purpose.
    pub(crate) fn who(&self, purpose: &str) -> Uuid {
        self.conference.first(purpose).unwrap()
    }

    /// Path of the disconnect for that participant.
    pub(crate) fn disconnect(&self, participant: impl std::fmt::Display) -> String {
        format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id)
    }

    /// Purposes of those who are there, in order.
    pub(crate) fn there(&self) -> Vec<String> {
        let now = self.sandbox.conference(self.conference.id).unwrap();
        now.participants.iter().filter(|p| p.live).map(|p| p.purpose.clone()).collect()
    }

    /// Waits until the sandbox has carried out what it accepted.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(150)).await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        self.request_to(&format!("{}{path}", self.url), method)
    }

    pub(crate) fn admin(&self, method: Method, path: &str) -> Request {
        self.request_to(&format!("{}{path}", self.admin_url.as_ref().unwrap()), method)
    }

    fn request_to(&self, url: &str, method: Method) -> Request {
        Request(self.client.request(method, url))
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(crate) async fn get_with(&self, path: &str, key: &str) -> Answer {
        self.request(Method::GET, path).header("x-api-key", key).send().await
    }

    /// Posts a selector.
    pub(crate) async fn select(&self, selector: &Value) -> Answer {
        self.post(&format!("/conversations/{}/participants/disconnect", self.conference.id)).json(selector).send().await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A request being put together.
pub(crate) struct Request(reqwest::RequestBuilder);

impl Request {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.0.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }
}
