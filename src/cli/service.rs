//! The service that a command speaks to: one that runs elsewhere, or one in this process with the configuration at hand.
//!
//! Both are asked by HTTP, so that a command does exactly what a caller's request would do.

mod answer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tower::ServiceExt as _;

use super::Failure;
use super::serve::start_failed;
use crate::app::{App, Membership, UpstreamTransport};
use crate::config::Config;
use crate::config::value::List;
use crate::crypto_provider;
use crate::genesys::error::Cause;
use crate::http::{Listener, Routes};

pub(super) use answer::ServiceAnswer;

/// The longest time without a word from the service; longer than it itself may take.
const PATIENCE: Duration = Duration::from_secs(75);
/// Longest answer that is read: answers of the service are far shorter.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Longest list that is read: the items of a job, of which there are 100,000 at most.
const LONGEST_LIST: usize = 128 * 1024 * 1024;

/// Which service.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Ask the service at this address instead of using the configuration
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with your caller key for it, as `hangup key new` shows it
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
}

impl Which {
    /// The service that is named, if one is.
    ///
    /// # Errors
    /// A URL or a key file that cannot be used.
    pub(super) fn named(&self) -> Result<Option<Service>, Failure> {
        self.server.as_deref().map(|base| Service::remote(base, self.key_file.as_deref())).transpose()
    }
}

/// See the module.
pub(super) enum Service {
    Remote { client: reqwest::Client, base: String, key: Option<SecretString> },
    Own { routes: Routes, app: Box<App> },
}

/// What it answered.
#[derive(Debug)]
pub(super) struct ServiceReply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl ServiceReply {
    /// A member that is a text, or nothing.
    pub(super) fn text(&self, member: &str) -> &str {
        self.body.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the service did what was asked.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The problem in words: its code, and what to do.
    pub(super) fn problem(&self) -> String {
        match (self.text("code"), self.text("detail")) {
            // Every problem of ours has both members.
            ("", _) | (_, "") => format!("status {}, and not an answer of hangup; check --server", self.status),
            // For a command, the key comes from a file.
            ("unauthenticated", detail) => {
                format!("unauthenticated: {detail} Give the file that holds it with --key-file")
            }
            (code, detail) => format!("{code}: {detail}"),
        }
    }
}

impl ServiceAnswer {
    /// What it says, where that is short.
    ///
    /// # Errors
    /// It breaks off.
    pub(super) async fn reply(self) -> Result<ServiceReply, Failure> {
        let status = self.status;
        let body = serde_json::from_slice(&self.bytes(LONGEST_ANSWER).await?).unwrap_or(Value::Null);
        Ok(ServiceReply { status, body })
    }
}

impl Service {
    /// The service that `which` names, or one in this process.
    ///
    /// # Errors
    /// A key file that cannot be read, or a configuration without an upstream.
    pub(super) async fn open(which: &Which, config: impl FnOnce() -> Result<Config, Failure>) -> Result<Self, Failure> {
        if let Some(named) = which.named()? {
            return Ok(named);
        }
        let own = match config() {
            Ok(config) => Self::own(config).await,
            Err(failure) => Err(failure),
        };
        own.map_err(|Failure { code, text }| {
            let elsewhere = "or name a service that runs, with --server URL and --key-file FILE";
            Failure { code, text: format!("{text}; {elsewhere}") }
        })
    }

    /// A service that runs elsewhere.
    ///
    /// # Errors
    /// A URL or a key file that cannot be used.
    pub(super) fn remote(base: &str, key_file: Option<&Path>) -> Result<Self, Failure> {
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(Failure::unusable(format!(
                "--server \"{base}\": write it as \"http://127.0.0.1:8080\" or \"https://hangup.example.com\""
            )));
        }
        let key = key_file.map(read_key).transpose()?;
        crypto_provider::install();
        let client = reqwest::Client::builder()
            .no_proxy()
            .read_timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Failure::failed(Cause::of(&e).to_string()))?;
        Ok(Self::Remote { client, base: base.trim_end_matches('/').to_owned(), key })
    }

    async fn own(mut config: Config) -> Result<Self, Failure> {
        config.check_serve().map_err(Failure::unusable)?;
        // A user who can read the client secret needs no key.
        config.auth = Config::defaults().auth;
        config.auth.anonymous_permissions = List(vec!["disconnect".to_owned(), "read".to_owned()]);
        config.admin.bind = None;
        config.server.bind = ([127, 0, 0, 1], 0).into();
        config.server.tls = Config::defaults().server.tls;
        // With the service's store: its mode holds here, too, and the record is where `hangup audit` finds it. But under a name of
        // its own in those records.
        config.store.instance = None;
        // What a command prints is its answer, and nothing else.
        let targets = &mut config.audit.target.0;
        if let Some(at) = targets.iter().position(|target| target == "stdout") {
            "store".clone_into(&mut targets[at]);
            targets.sort();
            targets.dedup();
        }
        // It waits for a connection as long as for an answer: there is one request, and a person who waits for it.
        config.disconnect.connect_timeout = config.disconnect.attempt_timeout;
        let app = App::build_as(Membership::Visitor, config, UpstreamTransport::Sockets).await.map_err(start_failed)?;
        Ok(Self::Own { routes: app.routes(Listener::Callers), app: Box::new(app) })
    }

    /// Asks once.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        prefer: Option<&str>,
        body: Option<&Value>,
    ) -> Result<ServiceReply, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(prefer) = prefer.and_then(|prefer| HeaderValue::from_str(prefer).ok()) {
            headers.insert("prefer", prefer);
        }
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(method, path, headers, body).await?.reply().await
    }

    /// Sends lines of JSON under a key that makes a repeat harmless.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn send_lines(
        &self,
        path: &str,
        idempotency_key: &str,
        lines: String,
    ) -> Result<ServiceReply, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if let Ok(key) = HeaderValue::from_str(idempotency_key) {
            headers.insert("idempotency-key", key);
        }
        self.send(Method::POST, path, headers, lines).await?.reply().await
    }

    /// Fetches a list as lines of JSON; a refusal comes as the one line that it is.
    ///
    /// # Errors
    /// No answer, or one that broke off.
    pub(super) async fn lines(&self, path: &str) -> Result<(u16, Bytes), Failure> {
        let list = self.list(path).await?;
        Ok((list.status, list.bytes(LONGEST_LIST).await?))
    }

    /// Begins to fetch a list as lines of JSON, however long it is.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn list(&self, path: &str) -> Result<ServiceAnswer, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        self.send(Method::GET, path, headers, String::new()).await
    }

    /// Begins to fetch what is at a path.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn get(&self, path: &str) -> Result<ServiceAnswer, Failure> {
        self.send(Method::GET, path, HeaderMap::new(), String::new()).await
    }

    /// Where a path of it is, for messages.
    pub(super) fn url(&self, path: &str) -> String {
        match self {
            Self::Remote { base, .. } => format!("{base}{path}"),
            Self::Own { .. } => path.to_owned(),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: String,
    ) -> Result<ServiceAnswer, Failure> {
        match self {
            Self::Remote { client, key, .. } => {
                if let Some(key) = key {
                    let mut value = HeaderValue::from_str(key.expose_secret())
                        .map_err(|_| Failure::unusable("--key-file: it does not hold one key on one line"))?;
                    value.set_sensitive(true);
                    headers.insert("x-api-key", value);
                }
                let url = self.url(path);
                let silent = |e: reqwest::Error| {
                    Failure::failed(format!(
                        "{url} does not answer: {}; check that the service runs, and that its address is right (--server)",
                        Cause::of(&e.without_url())
                    ))
                };
                let answer = client.request(method, &url).headers(headers).body(body).send().await.map_err(silent)?;
                Ok(ServiceAnswer::of(http::Response::<reqwest::Body>::from(answer).map(Body::new)))
            }
            Self::Own { routes, .. } => {
                headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1"));
                let mut request = Request::new(Body::from(body));
                *request.method_mut() = method;
                *request.uri_mut() =
                    path.parse().map_err(|_| Failure::unusable("what was named does not fit a path"))?;
                *request.headers_mut() = headers;
                let Ok(answer) = routes.clone().oneshot(request).await;
                Ok(ServiceAnswer::of(answer))
            }
        }
    }

    /// Lets what is under way end, and its audit records reach their file.
    pub(super) async fn close(self) {
        if let Self::Own { app, .. } = self {
            app.close().await;
        }
    }
}

/// The key in a file: its only line.
fn read_key(path: &Path) -> Result<SecretString, Failure> {
    let unusable = |what: String| Failure::unusable(format!("--key-file {}: {what}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|e| unusable(format!("cannot be read ({e}); check the path and its permissions")))?;
    match text.trim_start_matches('\u{feff}').trim() {
        "" => Err(unusable("it is empty".to_owned())),
        key => Ok(key.to_owned().into()),
    }
}
