//! The upstream's analytics query for conversation details, and its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::filter::Filter;
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Call;
use crate::problem::Problem;

/// Conversations per page: as many as the upstream allows.
pub(super) const PAGE: usize = 100;
/// The permission that the query needs.
const PERMISSION: &str = "analytics:conversationDetail:view";

/// One page of hits.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HitPage {
    pub(super) conversations: Vec<AnalyticsConversation>,
    pub(super) total_hits: usize,
}

/// A conversation as analytics reports it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AnalyticsConversation {
    pub(super) conversation_id: String,
    pub(super) conversation_start: Option<String>,
    pub(super) originating_direction: Option<String>,
    pub(super) division_ids: Vec<String>,
    pub(super) participants: Vec<AnalyticsParticipant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AnalyticsParticipant {
    pub(super) purpose: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) sessions: Vec<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Session {
    pub(super) media_type: Option<String>,
    pub(super) ani: Option<String>,
    pub(super) dnis: Option<String>,
    pub(super) address_from: Option<String>,
    pub(super) address_to: Option<String>,
    pub(super) callback_scheduled_time: Option<String>,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Segment {
    pub(super) segment_end: Option<String>,
    pub(super) queue_id: Option<String>,
    pub(super) wrap_up_code: Option<String>,
}

impl Session {
    /// Whether it has not ended, as far as analytics knows.
    pub(super) fn is_open(&self) -> bool {
        self.segments.last().is_some_and(|segment| segment.segment_end.is_none())
    }

    /// Its last wrap-up code.
    pub(super) fn wrapup(&self) -> Option<&str> {
        self.segments.iter().rev().find_map(|segment| segment.wrap_up_code.as_deref())
    }

    pub(super) fn queue_id(&self) -> Option<&str> {
        self.segments.iter().rev().find_map(|segment| segment.queue_id.as_deref())
    }
}

/// Why a page cannot be fetched.
#[derive(Debug)]
pub(super) enum NoPage {
    /// The query has more hits than the upstream serves: narrow the interval.
    TooMuch(Problem),
    Problem(Problem),
}

/// Asks for one page of the live conversations that began in an interval, newest first.
pub(super) async fn page(
    client: &Client,
    context: &Arc<Context>,
    filter: &Filter,
    queue_id: Option<&str>,
    (start, end): (OffsetDateTime, OffsetDateTime),
    number: usize,
) -> Result<HitPage, NoPage> {
    let query = query(filter, queue_id, (start, end), number);
    let answer = client.call(Call::analytics_query(context, Bytes::from(query.to_string()))).await;
    let answer = answer.map_err(|error| NoPage::Problem(error.into()))?;
    match answer.status {
        StatusCode::OK => read(&answer).map_err(NoPage::Problem),
        StatusCode::BAD_GATEWAY => Err(NoPage::TooMuch(Problem::transient(&answer))),
        _ => Err(NoPage::Problem(Problem::refused(&answer, "search", PERMISSION))),
    }
}

fn read(answer: &Answer) -> Result<HitPage, Problem> {
    answer.complete_json().ok_or_else(|| {
        Problem::invalid_response(answer, "the search returned something that is not a page of conversations")
    })
}

fn query(
    filter: &Filter,
    queue_id: Option<&str>,
    (start, end): (OffsetDateTime, OffsetDateTime),
    number: usize,
) -> Value {
    let matches = |dimension: &str, value: &str| json!({ "type": "dimension", "dimension": dimension, "operator": "matches", "value": value });
    let mut conversations =
        vec![json!({ "type": "dimension", "dimension": "conversationEnd", "operator": "notExists" })];
    conversations.extend(filter.division_id.as_deref().map(|id| matches("divisionId", id)));
    conversations.extend(filter.direction.map(|direction| matches("originatingDirection", direction)));
    // A filter for each, because they need not match the same segment.
    let mut segments: Vec<Value> =
        [("mediaType", filter.media), ("queueId", queue_id), ("userId", filter.user_id.as_deref())]
            .into_iter()
            .filter_map(|(dimension, value)| Some(json!({ "type": "and", "predicates": [matches(dimension, value?)] })))
            .collect();
    // Calls have their addresses in dimensions of other names.
    for (dimensions, value) in
        [(["addressFrom", "ani"], &filter.address_from), (["addressTo", "dnis"], &filter.address_to)]
    {
        segments.extend(
            value.as_deref().map(
                |value| json!({ "type": "or", "predicates": dimensions.map(|dimension| matches(dimension, value)) }),
            ),
        );
    }
    json!({
        "interval": format!("{}/{}", text(start), text(end)),
        "order": "desc",
        "orderBy": "conversationStart",
        "paging": { "pageSize": PAGE, "pageNumber": number },
        "conversationFilters": [{ "type": "and", "predicates": conversations }],
        "segmentFilters": segments,
    })
}

pub(super) fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}
