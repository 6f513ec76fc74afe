//! `GET /conversations?…`: live conversations.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use super::AppState;
use super::answer::{fitting, json};
use super::callers::{Permitted, to};
use super::input::Query;
use super::refused::Refused;
use crate::ids::ConversationId;
use crate::medium::Medium;
use crate::problem::{Code, Problem};
use crate::search::{Cursor, Excluded, Filter, Found, Hit, State as Wanted};

/// The query parameters.
const NAMES: &[&str] = &[
    "media",
    "queue",
    "queueId",
    "divisionId",
    "userId",
    "direction",
    "addressFrom",
    "addressTo",
    "olderThan",
    "newerThan",
    "agent",
    "state",
    "includeScheduled",
    "limit",
    "cursor",
];
/// The largest `limit` that callers may give.
const MOST: usize = 1_000;
/// No answer has room for more; the next page asks for the rest. One less than a page of analytics, so that one such page shows
/// whether there are more.
const AT_ONCE: usize = 99;
/// Longest name or address that is shown, in bytes: one conversation must always fit into an answer.
const LONGEST: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchAnswer<'a> {
    ok: bool,
    conversations: Vec<SearchItem<'a>>,
    excluded: Exclusions,
    cursor: Option<String>,
    searched_from: String,
    searched_to: String,
}

/// Live conversations between the first and the last one listed that are left out: how many, and why.
#[derive(Debug, Default, Serialize)]
struct Exclusions {
    hidden: usize,
    state: usize,
    agent: usize,
    scheduled: usize,
}

impl Exclusions {
    /// Those that come before this cursor, or all.
    fn of(found: &Found, until: Option<Cursor>) -> Self {
        let mut counts = Self::default();
        let before = |start, id| until.is_none_or(|until| !until.precedes(start, id));
        for (_, _, why) in found.excluded.iter().filter(|(start, id, _)| before(*start, *id)) {
            *match why {
                Excluded::Hidden => &mut counts.hidden,
                Excluded::State => &mut counts.state,
                Excluded::Agent => &mut counts.agent,
                Excluded::Scheduled => &mut counts.scheduled,
            } += 1;
        }
        counts
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchItem<'a> {
    id: ConversationId,
    media: Option<&'a str>,
    direction: Option<&'a str>,
    start_time: String,
    age_seconds: i64,
    queue_id: Option<&'a str>,
    queue_name: Option<&'a str>,
    division_id: Option<&'a str>,
    division_name: Option<&'a str>,
    address_from: Option<&'a str>,
    address_to: Option<&'a str>,
    participants: usize,
    agent: bool,
    agent_name: Option<&'a str>,
    wrapup: Option<&'a str>,
}

impl<'a> SearchItem<'a> {
    fn of(hit: &'a Hit, now: OffsetDateTime) -> Self {
        Self {
            id: hit.id,
            media: short(&hit.media),
            direction: short(&hit.direction),
            start_time: text(hit.start),
            age_seconds: (now - hit.start).whole_seconds().max(0),
            queue_id: short(&hit.queue_id),
            queue_name: short(&hit.queue_name),
            division_id: short(&hit.division_id),
            division_name: short(&hit.division_name),
            address_from: short(&hit.address_from),
            address_to: short(&hit.address_to),
            participants: hit.participants,
            agent: hit.agent,
            agent_name: short(&hit.agent_name),
            wrapup: short(&hit.wrapup),
        }
    }
}

/// The text, or its beginning where it is too long.
fn short(text: &Option<String>) -> Option<&str> {
    let text = text.as_deref()?;
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end?)
}

/// `GET /conversations`.
pub(super) async fn find(
    State(app): State<AppState>,
    who: Permitted<to::Search>,
    query: Query,
) -> Result<Response, Refused> {
    let mut filter = Filter::default();
    query.read(NAMES, |name, value| {
        // An empty value, as from an unset variable of a script, is not a filter.
        if value.is_empty() { Ok(()) } else { take(&mut filter, name, value) }
    })?;
    if filter.older_than >= filter.newer_than {
        return Err(invalid("olderThan must be shorter than newerThan").into());
    }
    filter.limit = filter.limit.min(AT_ONCE);
    let admission = app.disconnector.admit(&who.origin)?;
    let found = app.search.find(&admission.context, &filter, who.origin.guards.as_deref()).await?;
    Ok(json(StatusCode::OK, &answer(&found)))
}

/// As much of what was found as fits into a small answer.
fn answer(found: &Found) -> SearchAnswer<'_> {
    let now = OffsetDateTime::now_utc();
    let conversations = fitting(found.hits.iter().map(|hit| SearchItem::of(hit, now)));
    let last = found.hits.get(..conversations.len()).and_then(<[Hit]>::last);
    let cut = last.filter(|_| conversations.len() < found.hits.len());
    let cursor = cut.map(|hit| Cursor::after(hit.start, hit.id)).or(found.cursor);
    SearchAnswer {
        ok: true,
        conversations,
        excluded: Exclusions::of(found, cursor),
        cursor: cursor.map(|cursor| cursor.text()),
        searched_from: text(cut.map_or(found.from, |hit| hit.start)),
        searched_to: text(found.to),
    }
}

/// Always with milliseconds, so that the texts sort as their times do.
fn text(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    let (date, (hour, minute, second, milli)) = (time.date(), time.to_hms_milli());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn take(filter: &mut Filter, name: &str, value: &str) -> Result<(), Problem> {
    match name {
        "media" => filter.media = Some(media(value)?),
        "queue" => filter.queue = Some(value.to_owned()),
        "queueId" => filter.queue_id = Some(id(name, value)?),
        "divisionId" => filter.division_id = Some(id(name, value)?),
        "userId" => filter.user_id = Some(id(name, value)?),
        "direction" => {
            filter.direction = Some(match value {
                "inbound" => "inbound",
                "outbound" => "outbound",
                _ => return Err(invalid("direction must be inbound or outbound")),
            });
        }
        "addressFrom" => filter.address_from = Some(value.to_owned()),
        "addressTo" => filter.address_to = Some(value.to_owned()),
        "olderThan" => filter.older_than = duration(name, value)?,
        "newerThan" => filter.newer_than = duration(name, value)?,
        "agent" => match value {
            "none" => filter.no_agent = true,
            "any" => {}
            _ => return Err(invalid("agent must be none or any")),
        },
        "state" => {
            filter.state = match value {
                "any" => Wanted::Any,
                "waiting" => Wanted::Waiting,
                "connected" => Wanted::Connected,
                _ => return Err(invalid("state is any, waiting or connected")),
            }
        }
        "includeScheduled" => {
            filter.include_scheduled = match value {
                "true" => true,
                "false" => false,
                _ => return Err(invalid("includeScheduled must be true or false")),
            }
        }
        "limit" => {
            let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
            filter.limit = limit.ok_or_else(|| invalid("limit must be a number from 1 to 1000"))?;
        }
        _ => {
            let cursor = Cursor::read(value);
            filter.cursor = Some(cursor.ok_or_else(|| {
                invalid("the cursor is not valid; take it from the previous page, or leave it out to start")
            })?);
        }
    }
    Ok(())
}

fn media(word: &str) -> Result<&'static str, Problem> {
    let medium = Medium::from_word(word).ok_or_else(|| invalid(&format!("media is one of {}", Medium::words())))?;
    Ok(medium.analytics())
}

fn id(name: &str, value: &str) -> Result<String, Problem> {
    // Any hyphenated UUID; read as a conversation's id, because all ids look alike.
    ConversationId::parse(value)
        .map(|id| id.to_string())
        .ok_or_else(|| invalid(&format!("{name} must be a hyphenated UUID")))
}

fn duration(name: &str, value: &str) -> Result<Duration, Problem> {
    // Twenty years: more than any org has.
    let longest = Duration::from_secs(20 * 366 * 24 * 3600);
    let parsed = humantime::parse_duration(value).ok().filter(|time| *time <= longest);
    parsed.ok_or_else(|| invalid(&format!("{name} must be a duration with its unit, such as 24h or 180d")))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidQuery, detail)
}
