//! Finding conversations by the service's search, page by page.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use form_urlencoded::Serializer;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::row::SweepRow;
use crate::cli::Failure;
use crate::cli::service::{Service, ServiceReply};
use crate::ids::ConversationId;

/// How long one page is tried again.
const PATIENCE: Duration = Duration::from_secs(600);
/// Failed tries of one page before it is given up: what analytics cannot find within the deadline, or answers with 502 however small
/// the part of the search is, it will not find later.
const TRIES: usize = 3;
/// Pause after a 502. By then the search has met many; if something on the way is disturbed for a moment, it may be over
/// afterwards.
const AFTER_502: u64 = 5;

/// Which conversations are meant. They combine.
#[derive(Debug, Args, Default)]
#[group(id = "filters", multiple = true)]
pub(super) struct Filters {
    /// Medium: call, callback, chat, email, message, cobrowse, …
    #[arg(long, value_name = "MEDIUM", help_heading = "Filters")]
    media: Option<String>,
    /// Name of the queue
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    queue: Option<String>,
    /// Id of the queue
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    queue_id: Option<String>,
    /// Id of the division
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    division_id: Option<String>,
    /// Id of a user who takes part in it
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    user_id: Option<String>,
    /// Direction: inbound or outbound
    #[arg(long, value_name = "WORD", help_heading = "Filters")]
    direction: Option<String>,
    /// Address it comes from, such as a phone number
    #[arg(long, value_name = "ADDRESS", help_heading = "Filters")]
    address_from: Option<String>,
    /// Address it goes to
    #[arg(long, value_name = "ADDRESS", help_heading = "Filters")]
    address_to: Option<String>,
    /// Began at least this long ago, such as 24h
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    pub(super) older_than: Option<String>,
    /// Began at most this long ago [default: 180d]
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    newer_than: Option<String>,
    /// State: any, waiting (in a queue) or connected (with an agent)
    #[arg(long, value_name = "WORD", help_heading = "Filters")]
    pub(super) state: Option<String>,
    /// With "none": only those where analytics sees no agent; analytics may be wrong, so a live read decides in any case
    #[arg(long, value_name = "WORD", help_heading = "Filters")]
    agent: Option<String>,
    /// Include callbacks that are scheduled for later
    #[arg(long, help_heading = "Filters")]
    include_scheduled: bool,
}

impl Filters {
    /// As the service's search names them.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let given = [
            ("media", &self.media),
            ("queue", &self.queue),
            ("queueId", &self.queue_id),
            ("divisionId", &self.division_id),
            ("userId", &self.user_id),
            ("direction", &self.direction),
            ("addressFrom", &self.address_from),
            ("addressTo", &self.address_to),
            ("olderThan", &self.older_than),
            ("newerThan", &self.newer_than),
            ("state", &self.state),
            ("agent", &self.agent),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given.chain(self.include_scheduled.then_some(("includeScheduled", "true"))).collect()
    }

    /// Whether they narrow anything down.
    pub(super) fn are_given(&self) -> bool {
        !self.pairs().is_empty()
    }

    /// In words, as they were typed.
    pub(super) fn described(&self) -> String {
        self.pairs().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) rows: Vec<SweepRow>,
    /// Rows in which analytics sees an agent or user.
    pub(super) with_agent: usize,
    /// Live conversations that are left out, by the service's word for why.
    pub(super) excluded: BTreeMap<String, usize>,
    /// Ids of the queues.
    pub(super) queues: std::collections::BTreeSet<Option<String>>,
}

#[derive(Debug, Deserialize)]
struct SearchPage {
    conversations: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    excluded: BTreeMap<String, usize>,
    cursor: Option<String>,
}

/// Finds everything that fits, and calls `progress` with the number after each page.
///
/// # Errors
/// The service's refusal, in its words: a filter that cannot be used, a missing permission, a queue name that two queues have.
pub(super) async fn all(
    service: &Service,
    filters: &Filters,
    mut progress: impl FnMut(usize),
) -> Result<Candidates, Failure> {
    let (mut found, mut cursor) = (Candidates::default(), None::<String>);
    loop {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(filters.pairs());
        query.extend_pairs(cursor.iter().map(|cursor| ("cursor", cursor)));
        let reply = patiently(service, &format!("/conversations?{}", query.finish())).await?;
        if !reply.is_good() {
            return Err(refused(&reply));
        }
        let page: SearchPage = serde_json::from_value(reply.body).map_err(|_| {
            Failure::failed("the service's answer is not a page of conversations; nobody was disconnected")
        })?;
        for conversation in page.conversations {
            found.take(&conversation);
        }
        for (why, count) in page.excluded {
            *found.excluded.entry(why).or_default() += count;
        }
        progress(found.rows.len());
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

impl Candidates {
    fn take(&mut self, found: &BTreeMap<String, Value>) {
        let text = |name: &str| found.get(name).and_then(Value::as_str);
        let Some(id) = text("id").and_then(ConversationId::parse) else { return };
        let mut row = SweepRow::new(id, None);
        for (column, name) in [
            ("media", "media"),
            ("direction", "direction"),
            ("queueName", "queueName"),
            ("divisionName", "divisionName"),
            ("start", "startTime"),
            ("from", "addressFrom"),
            ("to", "addressTo"),
            ("agent", "agentName"),
            ("wrapup", "wrapup"),
        ] {
            row.set(column, text(name).unwrap_or_default());
        }
        if let Some(age) = found.get("ageSeconds").and_then(Value::as_f64) {
            row.set("ageHours", format!("{:.1}", age / 3600.0));
        }
        self.with_agent += usize::from(found.get("agent").and_then(Value::as_bool) == Some(true));
        self.queues.insert(text("queueId").map(str::to_owned));
        self.rows.push(row);
    }
}

/// Asks until the answer is final, waiting where the service says that waiting helps.
async fn patiently(service: &Service, path: &str) -> Result<ServiceReply, Failure> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let mut in_vain = 0;
    loop {
        let reply = service.ask(Method::GET, path, None, None).await?;
        in_vain += usize::from(reply.text("code") == "upstream_timeout" || met_502(&reply));
        let retryable = reply.body.get("retryable").and_then(Value::as_bool) == Some(true);
        if !retryable || in_vain == TRIES || tokio::time::Instant::now() >= give_up {
            return Ok(reply);
        }
        let pause = reply.body.get("retryAfterSeconds").and_then(Value::as_u64).unwrap_or(2);
        let least = if met_502(&reply) { AFTER_502 } else { 1 };
        tokio::time::sleep(Duration::from_secs(pause.clamp(least, 60))).await;
    }
}

/// Whether the search met 502, with which Genesys Cloud answers queries that have too many hits. The service has split the search as
/// far as it can be split.
fn met_502(reply: &ServiceReply) -> bool {
    reply.body.pointer("/upstream/status").and_then(Value::as_u64) == Some(502)
}

fn refused(reply: &ServiceReply) -> Failure {
    let mut text = reply.problem();
    for candidate in reply.body.get("candidates").and_then(Value::as_array).into_iter().flatten() {
        let word = |name: &str| candidate.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        text.push_str(&format!("\n  {}  {} in division {}", word("id"), word("name"), word("divisionName")));
    }
    if met_502(reply) {
        text.push_str(
            "\nGenesys Cloud answers 502 to this search, however small a part of it is asked for: narrow it down with --queue-id, \
             --media, --division-id or --newer-than, or try again later",
        );
    }
    let text = format!("{text}\nnobody was disconnected");
    if reply.status == 400 || reply.status == 409 { Failure::unusable(text) } else { Failure::failed(text) }
}
