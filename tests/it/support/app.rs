//! A service in this process with its upstream, and how it is asked.

use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use hangup::app::{App, UpstreamTransport};
use hangup::config::Config;
use hangup::http::{self, Routes};
use hangup::sandbox::{Conference, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ask::Reach;
use super::upstream::Upstream;
use super::{Answer, Ask, Kind, Seen, StandIn, together};
use crate::shared::wire::Wire;

/// See the module. It ends when it is dropped.
pub(crate) struct TestApp {
    pub(crate) app: http::AppState,
    pub(crate) sandbox: Sandbox,
    /// The one conversation that is there from the beginning.
    pub(crate) conference: Conference,
    /// Where callers reach it; empty where it has no sockets.
    pub(crate) url: String,
    pub(super) reach: Reach,
    pub(super) admin: Option<Reach>,
    /// What went upstream, where that has no sockets.
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) config: Config,
    pub(super) stop: CancellationToken,
    pub(super) stand_in: Option<Arc<StandIn>>,
}

impl TestApp {
    pub(super) async fn over_sockets(stand_in: Arc<StandIn>, conference: Conference, config: Config) -> Self {
        let app = App::build(config.clone(), UpstreamTransport::Sockets).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let reach = |addr| Reach::Url(client.clone(), format!("http://{addr}"));
        let url = format!("http://{}", app.addr().unwrap());
        let (main, admin) = (reach(app.addr().unwrap()), app.admin_addr().map(reach));
        let (http, stop) = (app.http().clone(), CancellationToken::new());
        tokio::spawn(app.run_until(stop.clone().cancelled_owned(), std::future::pending()));
        Self {
            app: http,
            sandbox: stand_in.sandbox.clone(),
            conference,
            url,
            reach: main,
            admin,
            upstream: None,
            config,
            stop,
            stand_in: Some(stand_in),
        }
    }

    /// Another service with the same settings before the same sandbox, after this one was asked to stop.
    pub(crate) async fn restart(&self) -> Self {
        self.stop();
        let stand_in = self.stand_in.clone().expect("a service over sockets");
        Self::over_sockets(stand_in, self.conference.clone(), self.config.clone()).await
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// The id of the first participant of that purpose.
    pub(crate) fn who(&self, purpose: &str) -> Uuid {
        self.conference.first(purpose).unwrap()
    }

    pub(crate) fn live(&self, n: usize) -> bool {
        self.sandbox.is_live(self.conference.id, self.conference.participants[n].id)
    }

    /// Purposes of those who are there, in order.
    pub(crate) fn there(&self) -> Vec<String> {
        let now = self.sandbox.conference(self.conference.id).unwrap();
        now.participants.iter().filter(|p| p.live).map(|p| p.purpose.clone()).collect()
    }

    /// The same, once everything that was accepted has taken effect: they were left alone.
    pub(crate) async fn remain(&self) -> Vec<String> {
        self.settled().await;
        self.there()
    }

    /// Waits until the sandbox has carried out what it accepted in the one conversation. If it accepted nothing, nothing can
    /// take effect later, and this returns at once.
    pub(crate) async fn settled(&self) {
        self.sandbox.settled(self.conference.id).await;
    }

    /// A connection of the test's own to it.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::connect(self.url.trim_start_matches("http://").parse().unwrap()).await.unwrap()
    }

    /// What serves requests, where there are no sockets.
    pub(crate) fn routes(&self) -> Routes {
        match &self.reach {
            Reach::Routes(routes) => routes.clone(),
            Reach::Url(..) => panic!("a service over sockets"),
        }
    }

    /// A request to the callers' side.
    pub(crate) fn request(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.reach.clone(), method, path)
    }

    /// A request to the operators' side.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.admin.clone().expect("admin.bind"), method, path)
    }

    /// Asks for any path, for tasks that outlive a borrow.
    pub(crate) fn asker(&self) -> impl Fn(Method, &str) -> Ask + Send + Sync + use<> {
        let reach = self.reach.clone();
        move |method, path| Ask::new(reach.clone(), method, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask {
        self.request(Method::POST, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(crate) async fn get_with(&self, path: &str, key: &str) -> Answer {
        self.request(Method::GET, path).header("x-api-key", key).send().await
    }

    /// Path of the disconnect for that participant of the one conversation.
    pub(crate) fn path_of(&self, participant: impl std::fmt::Display) -> String {
        format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id)
    }

    /// A disconnect for the n-th participant.
    pub(crate) fn disconnect(&self, n: usize) -> Ask {
        self.disconnect_id(self.conference.participants[n].id)
    }

    pub(crate) fn disconnect_id(&self, participant: Uuid) -> Ask {
        self.post(&self.path_of(participant))
    }

    pub(crate) fn disconnect_in(&self, conversation: Uuid, participant: Uuid) -> Ask {
        self.post(&format!("/conversations/{conversation}/participants/{participant}/disconnect"))
    }

    /// Disconnects for this range of participants, all at once.
    pub(crate) async fn disconnect_all(&self, many: std::ops::Range<usize>) -> Vec<Answer> {
        together(many.map(|n| self.disconnect(n))).await
    }

    /// Disconnects all who match in the one conversation.
    pub(crate) fn selector(&self, selector: &Value) -> Ask {
        self.post(&format!("/conversations/{}/participants/disconnect", self.conference.id)).json(selector)
    }

    /// The same, sent.
    pub(crate) async fn select(&self, selector: &Value) -> Answer {
        self.selector(selector).send().await
    }

    /// Ends the one conversation for everybody.
    pub(crate) fn teardown(&self) -> Ask {
        self.post(&format!("/conversations/{}/disconnect", self.conference.id)).json(&json!({"all": true}))
    }

    /// Who is in the one conversation.
    pub(crate) fn list(&self) -> Ask {
        self.request(Method::GET, &format!("/conversations/{}/participants", self.conference.id))
    }

    /// The value of a metric without labels, or of the line that begins like this.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").await.text;
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }

    fn upstream(&self) -> &Upstream {
        self.upstream.as_ref().expect("an upstream in this process")
    }

    /// Everything that went upstream.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.upstream().seen.lock().unwrap().clone()
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
        self.upstream().started.elapsed()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
