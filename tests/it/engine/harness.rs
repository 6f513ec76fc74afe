//! The service in-process over an upstream of which every call is written down: the sandbox, and in front of it a
//! script that may answer a call itself. On a paused clock throughout.

mod ask;
mod upstream;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hangup::app::{App as Application, Upstream as Over};
use hangup::config::{Config, OperationChoice, Surface};
use hangup::disconnect::Origin;
use hangup::genesys::request::Rank;
use hangup::http::Routes;
use hangup::http::{App, Listener};
use hangup::sandbox::{Conference, ConversationSpec, ParticipantSpec, Sandbox};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

pub(crate) use ask::{Answer, Ask, all_are, tally, together};
pub(crate) use upstream::{Asked, Kind, Reply, Seen};
use upstream::{Script, Upstream};

/// Puts a [`Stand`] together.
pub(crate) struct Builder {
    config: Config,
    script: Box<Script>,
    latency: Duration,
    participants: Option<Vec<ParticipantSpec>>,
}

impl Builder {
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn operation(self, operation: OperationChoice) -> Self {
        self.config(|c| c.genesys.operation = operation)
    }

    pub(crate) fn surface(self, surface: Surface) -> Self {
        self.config(|c| c.sandbox.surface = surface)
    }

    /// The sandbox allows so many calls a minute and token.
    pub(crate) fn window(self, allowed: u32) -> Self {
        self.config(|c| c.sandbox.rate_limit = allowed)
    }

    /// May answer a call itself; whatever it leaves, the sandbox serves.
    pub(crate) fn script(mut self, script: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// So many live customers in the one conversation.
    pub(crate) fn crowd(self, size: usize) -> Self {
        self.participants(vec![ParticipantSpec::default(); size])
    }

    pub(crate) fn participants(mut self, specs: Vec<ParticipantSpec>) -> Self {
        self.participants = Some(specs);
        self
    }

    /// Starts the service; the first login is under way.
    pub(crate) async fn start(self) -> Stand {
        let sandbox = Sandbox::new(&self.config.sandbox);
        let spec = self.participants.map_or_else(ConversationSpec::default, ConversationSpec::with);
        let conference = sandbox.create_conference(spec);
        let upstream = Arc::new(Upstream {
            sandbox: sandbox.clone(),
            script: self.script,
            latency: self.latency,
            started: Instant::now(),
            seen: Mutex::default(),
            nth: Mutex::default(),
        });
        let behind = Arc::clone(&upstream);
        let exchange = tower::service_fn(move |request| Arc::clone(&behind).exchange(request));
        let over = Over::Over(BoxCloneSyncService::new(exchange));
        let app = Application::build(self.config, over).await.unwrap();
        let router = app.routes(Listener::Both { metrics: true });
        Stand { app: app.http().clone(), sandbox, conference, router, upstream }
    }

    /// Starts the service and waits for its first token.
    pub(crate) async fn ready(self) -> Stand {
        let stand = self.start().await;
        while stand.app.disconnector.client().tokens().current().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        stand
    }
}

/// A service with its upstream.
pub(crate) struct Stand {
    pub(crate) app: App,
    pub(crate) sandbox: Sandbox,
    pub(crate) conference: Conference,
    router: Routes,
    upstream: Arc<Upstream>,
}

impl Stand {
    /// The published PATCH only, found out by configuration; no rate limit to speak of; 10 ms of latency.
    pub(crate) fn patch() -> Builder {
        Self::auto().operation(OperationChoice::Patch)
    }

    /// The seeds' POST only.
    pub(crate) fn post() -> Builder {
        Self::auto().operation(OperationChoice::Post).surface(Surface::Unpublished)
    }

    /// The service finds out itself.
    pub(crate) fn auto() -> Builder {
        let mut config = Config::defaults();
        config.genesys.api_url = Some("http://api.test".to_owned());
        config.genesys.login_url = Some("http://login.test".to_owned());
        config.genesys.client_id = Some("sandbox".to_owned());
        config.genesys.client_secret = Some("sandbox-secret".into());
        config.server.bind = ([127, 0, 0, 1], 0).into();
        config.store.url = "memory".into();
        config.sandbox.rate_limit = 1_000_000;
        Builder { config, script: Box::new(|_| None), latency: Duration::from_millis(10), participants: None }
    }

    /// A disconnect for the n-th participant.
    pub(crate) fn disconnect(&self, n: usize) -> Ask {
        self.disconnect_id(self.conference.participants[n].id)
    }

    pub(crate) fn disconnect_id(&self, participant: Uuid) -> Ask {
        let path = format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id);
        self.request(&path)
    }

    pub(crate) fn disconnect_in(&self, conversation: Uuid, participant: Uuid) -> Ask {
        self.request(&format!("/conversations/{conversation}/participants/{participant}/disconnect"))
    }

    /// Disconnects whoever matches in the one conversation.
    pub(crate) fn selector(&self, selector: &serde_json::Value) -> Ask {
        self.request(&format!("/conversations/{}/participants/disconnect", self.conference.id)).body(selector)
    }

    /// Ends the one conversation for everybody.
    pub(crate) fn teardown(&self) -> Ask {
        self.request(&format!("/conversations/{}/disconnect", self.conference.id))
            .body(&serde_json::json!({"all": true}))
    }

    /// Who is in the one conversation.
    pub(crate) fn list(&self) -> Ask {
        let mut ask = self.request(&format!("/conversations/{}/participants", self.conference.id));
        *ask.request.method_mut() = http::Method::GET;
        ask
    }

    /// Asks for any path, for tasks that outlive a borrow.
    pub(crate) fn asker(&self) -> impl Fn(http::Method, &str) -> Ask + Send + Sync + use<> {
        let router = self.router.clone();
        move |method, path| {
            let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080");
            Ask { router: router.clone(), request: request.body(Bytes::new()).unwrap() }
        }
    }

    fn request(&self, path: &str) -> Ask {
        let request = Request::post(path).header("host", "127.0.0.1:8080").body(Bytes::new()).unwrap();
        Ask { router: self.router.clone(), request }
    }

    /// Disconnects for the first so many participants, all at once.
    pub(crate) async fn disconnect_all(&self, many: std::ops::Range<usize>) -> Vec<Answer> {
        together(many.map(|n| self.disconnect(n))).await
    }

    /// Everything that went upstream.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.upstream.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.seen().iter().filter(|s| s.asked.kind == kind).count()
    }

    /// Disconnect requests upstream.
    pub(crate) fn disconnects(&self) -> usize {
        self.count(Kind::Post) + self.count(Kind::Patch)
    }

    /// Logins, POSTs, PATCHes and reads so far.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [Kind::Login, Kind::Post, Kind::Patch, Kind::Read].map(|kind| self.count(kind))
    }

    /// Calls of the API that were answered with this.
    pub(crate) fn answered(&self, status: u16) -> usize {
        self.seen().iter().filter(|s| s.asked.kind != Kind::Login && s.status == status).count()
    }

    /// When calls of this kind arrived.
    pub(crate) fn times(&self, kind: Kind) -> Vec<Duration> {
        self.seen().iter().filter(|s| s.asked.kind == kind).map(|s| s.asked.at).collect()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.upstream.started.elapsed()
    }

    pub(crate) fn live(&self, n: usize) -> bool {
        self.sandbox.is_live(self.conference.id, self.conference.participants[n].id)
    }

    /// The value of a metric without labels, or of the line that begins like this.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let request = Request::get("/metrics").header("host", "127.0.0.1").body(HttpBody::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Who asks, for requests that do not come by HTTP.
pub(crate) fn origin(caller: &str) -> Origin {
    Origin {
        caller: caller.into(),
        request_id: "r-1".into(),
        trace: Default::default(),
        guards: None,
        observe: false,
        scope: Default::default(),
        rank: Rank::Disconnect,
        deadline: None,
        sent: Default::default(),
    }
}
