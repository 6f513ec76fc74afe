//! Current activity, grouped by queue or by other dimensions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::body::parsed;
use super::details::segment_dimension;
use super::filter::Filter;
use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::clock::text;
use crate::sandbox::conversation::{Communication, Conversation, Participant};
use crate::sandbox::render::{direction, object};
use crate::sandbox::settings::Settings;
use crate::sandbox::state::Sandbox;

/// Dimensions to filter and group by.
const DIMENSIONS: &[&str] = &[
    "addressFrom",
    "addressTo",
    "ani",
    "conversationId",
    "direction",
    "dnis",
    "mediaType",
    "participantName",
    "queueId",
    "sessionId",
    "userId",
];
/// Most entities listed per group. If there are more, half of the list are the oldest, and half the newest.
const ENTITIES: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActivityQuery {
    metrics: Vec<Metric>,
    #[serde(default)]
    group_by: Vec<String>,
    #[serde(default)]
    filter: Filter,
}

#[derive(Debug, Deserialize)]
struct Metric {
    metric: Name,
    #[serde(default)]
    details: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Name {
    #[serde(rename = "oAlerting")]
    Alerting,
    #[serde(rename = "oInteracting")]
    Interacting,
    #[serde(rename = "oWaiting")]
    Waiting,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Alerting => "oAlerting",
            Self::Interacting => "oInteracting",
            Self::Waiting => "oWaiting",
        }
    }

    /// What a live communication counts as.
    fn of(participant: &Participant, one: &Communication) -> Option<Self> {
        match (participant.purpose.as_str(), one.state.as_str()) {
            ("acd", "scheduled") => None,
            ("acd", _) => Some(Self::Waiting),
            ("agent" | "user", "alerting" | "offering") => Some(Self::Alerting),
            ("agent" | "user", _) => Some(Self::Interacting),
            _ => None,
        }
    }
}

/// Live sessions of one group.
#[derive(Debug, Default)]
struct Group {
    counts: Vec<(Name, usize)>,
    entities: Vec<Value>,
}

/// `POST /api/v2/analytics/conversations/activity/query`.
pub(in crate::sandbox::api) fn activity_query(
    sandbox: &Sandbox,
    body: &[u8],
    settings: &Settings,
) -> Result<Response, Problem> {
    let query: ActivityQuery = parsed(body)?;
    query.filter.check(DIMENSIONS)?;
    if let Some(unknown) = query.group_by.iter().find(|name| !DIMENSIONS.contains(&name.as_str())) {
        return Err(Problem::bad_request(format!("The sandbox does not group by {unknown}.")));
    }
    let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
    sandbox.conversations().map(settings.ended_readable_for, |conversation, now| {
        if conversation.ended.is_none() && !settings.hidden_divisions.contains(&conversation.division) {
            observe(conversation, &query, &mut groups, now);
        }
        None::<()>
    });
    let results: Vec<Value> = groups.into_iter().map(|(key, group)| group.render(&query, &key)).collect();
    Ok(with_json(StatusCode::OK, &json!({ "results": results, "entityIdDimension": "conversationId" })))
}

fn observe(
    conversation: &Conversation,
    query: &ActivityQuery,
    groups: &mut BTreeMap<Vec<String>, Group>,
    now: Instant,
) {
    for participant in &conversation.participants {
        for one in participant.communications.iter().filter(|one| one.gone(now).is_none()) {
            let Some(name) = Name::of(participant, one) else { continue };
            let Some(metric) = query.metrics.iter().find(|metric| metric.metric == name) else { continue };
            let look = |name: &str| dimension(conversation, participant, one, name, now);
            if !query.filter.holds(&look) {
                continue;
            }
            let key = query.group_by.iter().map(|name| look(name).unwrap_or_default().into_owned()).collect();
            let group = groups.entry(key).or_default();
            match group.counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => group.counts.push((name, 1)),
            }
            if metric.details {
                group.entities.push(entity(conversation, participant, one, name, &look));
            }
        }
    }
}

/// A dimension of a live communication; its addresses are the customer's.
fn dimension<'a>(
    conversation: &'a Conversation,
    participant: &'a Participant,
    one: &'a Communication,
    name: &str,
    now: Instant,
) -> Option<Cow<'a, str>> {
    match name {
        "conversationId" => Some(conversation.id.to_string().into()),
        "sessionId" => Some(one.id.to_string().into()),
        "addressFrom" | "addressTo" | "ani" | "dnis" => {
            let customer = conversation.participants.iter().find(|p| p.purpose == "customer")?;
            let one = customer.communications.iter().find(|c| c.medium == one.medium)?;
            segment_dimension(customer, one, name, now)
        }
        _ => segment_dimension(participant, one, name, now),
    }
}

fn entity<'a>(
    conversation: &Conversation,
    participant: &Participant,
    one: &Communication,
    name: Name,
    look: &impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Value {
    object(json!({
        "activityDate": text(participant.connected.unwrap_or(participant.started)),
        "metric": name.text(),
        "conversationId": conversation.id,
        "sessionId": one.id,
        "mediaType": one.medium.facts().analytics,
        "direction": direction(participant),
        "addressFrom": look("addressFrom"),
        "addressTo": look("addressTo"),
        "ani": look("ani"),
        "dnis": look("dnis"),
        "participantName": participant.name,
        "queueId": participant.queue_id,
        "userId": participant.user_id,
    }))
}

impl Group {
    fn render(self, query: &ActivityQuery, key: &[String]) -> Value {
        let group: Map<String, Value> =
            query.group_by.iter().cloned().zip(key.iter().cloned().map(Value::String)).collect();
        // In the order of the query.
        let asked = query.metrics.iter().filter_map(|asked| self.counts.iter().find(|(name, _)| *name == asked.metric));
        let data: Vec<Value> = asked.map(|(name, count)| json!({ "metric": name.text(), "count": count })).collect();
        let truncated = self.entities.len() > ENTITIES;
        let entities = if truncated {
            let (oldest, newest) = (ENTITIES / 2, self.entities.len() - ENTITIES / 2);
            [&self.entities[..oldest], &self.entities[newest..]].concat()
        } else {
            self.entities
        };
        json!({ "group": group, "data": data, "truncated": truncated, "entities": entities })
    }
}
