//! Puts a [`TestApp`] together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hangup::app::{App, UpstreamTransport};
use hangup::config::{Config, OperationChoice, Surface};
use hangup::http::Listener;
use hangup::sandbox::{ConversationSpec, ParticipantSpec, Sandbox};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use super::ask::Reach;
use super::upstream::{Asked, Reply, Script, Upstream};
use super::{StandIn, TestApp};

/// See the module.
pub(crate) struct Builder {
    config: Config,
    script: Box<Script>,
    latency: Duration,
    participants: Option<Vec<ParticipantSpec>>,
    sockets: bool,
}

impl TestApp {
    /// The published PATCH only, found out by configuration; no rate limit to speak of; 10 ms of latency.
    pub(crate) fn patch() -> Builder {
        Self::auto().operation(OperationChoice::Patch)
    }

    /// The seeds' POST only.
    pub(crate) fn post_only() -> Builder {
        Self::auto().operation(OperationChoice::Post).surface(Surface::Unpublished)
    }

    /// The service finds out itself.
    pub(crate) fn auto() -> Builder {
        Builder::new(false).config(|config| {
            config.genesys.api_url = Some("http://api.test".to_owned());
            config.genesys.login_url = Some("http://login.test".to_owned());
            config.sandbox.rate_limit = 1_000_000;
        })
    }

    /// With real connections, before a sandbox whose disconnects take effect after 100 ms.
    pub(crate) fn sockets() -> Builder {
        Builder::new(true).config(|config| config.sandbox.effect_delay = Duration::from_millis(100))
    }
}

impl Builder {
    fn new(sockets: bool) -> Self {
        let mut config = Config::defaults();
        config.server.bind = ([127, 0, 0, 1], 0).into();
        config.genesys.client_id = Some("sandbox".to_owned());
        config.genesys.client_secret = Some("sandbox-secret".into());
        config.shutdown.grace = Duration::ZERO;
        config.store.url = "memory".into();
        let latency = Duration::from_millis(10);
        Self { config, script: Box::new(|_| None), latency, participants: None, sockets }
    }

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

    /// The sandbox allows this many calls a minute and token.
    pub(crate) fn window(self, allowed: u32) -> Self {
        self.config(|c| c.sandbox.rate_limit = allowed)
    }

    /// May answer a call itself; whatever it leaves, the sandbox serves.
    pub(crate) fn script(mut self, script: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// How long each upstream call takes, on the clock of the test.
    pub(crate) fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// This many live customers in the one conversation.
    pub(crate) fn crowd(self, size: usize) -> Self {
        self.participants(vec![ParticipantSpec::default(); size])
    }

    pub(crate) fn participants(mut self, specs: Vec<ParticipantSpec>) -> Self {
        self.participants = Some(specs);
        self
    }

    /// Starts the service; the first login is under way.
    pub(crate) async fn start(self) -> TestApp {
        let spec = self.participants.map_or_else(ConversationSpec::default, ConversationSpec::with);
        if self.sockets {
            let stand_in = StandIn::serving(&self.config.sandbox);
            let conference = stand_in.sandbox.create_conference(spec);
            let mut config = self.config;
            config.genesys.api_url.get_or_insert_with(|| stand_in.url());
            config.genesys.login_url.get_or_insert_with(|| stand_in.url());
            return TestApp::over_sockets(Arc::new(stand_in), conference, config).await;
        }
        let sandbox = Sandbox::new(&self.config.sandbox);
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
        let app =
            App::build(self.config.clone(), UpstreamTransport::Over(BoxCloneSyncService::new(exchange))).await.unwrap();
        TestApp {
            app: app.http().clone(),
            sandbox,
            conference,
            url: String::new(),
            reach: Reach::Routes(app.routes(Listener::Both { metrics: true })),
            admin: None,
            upstream: Some(upstream),
            config: self.config,
            stop: CancellationToken::new(),
            stand_in: None,
        }
    }

    /// Starts the service and waits for its first token.
    pub(crate) async fn ready(self) -> TestApp {
        let started = self.start().await;
        while started.app.disconnector.client().tokens().current().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        started
    }
}
