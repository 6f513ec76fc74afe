//! Walks back through time, interval by interval, until there are enough hits or nothing is left.

use std::collections::HashSet;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::analytics::{self, NoPage, PAGE};
use super::cursor::Cursor;
use super::filter::Filter;
use super::found::Found;
use super::hit::Hit;
use crate::callers::Guards;
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::ids::ConversationId;
use crate::problem::{Code, Problem};

/// The longest interval that the upstream accepts.
const LONGEST: Duration = Duration::days(31);
/// Intervals are not made shorter than this: fewer conversations begin in it than one query can list.
const SHORTEST: Duration = Duration::minutes(1);
/// An interval with too many hits is divided by this. It is large so that a gateway that answers every query with 502
/// is asked only a few times.
const SHORTER_BY: i32 = 8;
/// Most pages of one query: beyond some 8,000 hits the upstream fails.
const PAGES: usize = 79;

pub(super) struct Walk<'a> {
    pub(super) client: &'a Client,
    pub(super) context: &'a Arc<Context>,
    pub(super) filter: &'a Filter,
    pub(super) queue_id: Option<&'a str>,
    pub(super) guards: Option<&'a Guards>,
}

impl Walk<'_> {
    /// Searches from the newest to the oldest, at most back to `filter.newer_than`.
    pub(super) async fn run(&self, now: OffsetDateTime) -> Result<Found, Problem> {
        let ago = |time: std::time::Duration| Duration::try_from(time).ok().and_then(|time| now.checked_sub(time));
        let oldest = ago(self.filter.newer_than).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let newest = ago(self.filter.older_than).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut end = self.filter.cursor.map_or(newest, |cursor| cursor.end().min(newest));
        let mut found = Found { hits: Vec::new(), excluded: Vec::new(), cursor: None, from: oldest, to: end };
        let mut seen = HashSet::new();
        let mut length = LONGEST;
        // What is left began before `end`: hits of that time are not told yet from those that are not listed.
        let is_enough =
            |found: &Found, end| found.hits.iter().filter(|hit| hit.start >= end).count() > self.filter.limit;
        while end > oldest && !is_enough(&found, end) {
            let start = (end - length).max(oldest);
            match self.interval((start, end), now, &mut seen, &mut found).await {
                Ok(SearchedBack::Start) => (end, length) = (start, LONGEST),
                // More conversations may have begun in that same moment.
                Ok(SearchedBack::Until(last)) => end = last + Duration::milliseconds(1),
                Err(NoPage::TooMuch(problem)) if end - start <= SHORTEST => return Err(problem),
                Err(NoPage::TooMuch(_)) => length = (end - start) / SHORTER_BY,
                Err(NoPage::Problem(problem)) => return Err(problem),
            }
        }
        found.hits.sort_by_key(|hit| std::cmp::Reverse((hit.start, hit.id.to_string())));
        if found.hits.len() > self.filter.limit {
            found.hits.truncate(self.filter.limit);
            if let Some(last) = found.hits.last() {
                let cursor = Cursor::after(last.start, last.id);
                // Older ones are listed on the page of their own time.
                found.excluded.retain(|(start, id, _)| !cursor.precedes(*start, *id));
                (found.cursor, found.from) = (Some(cursor), last.start);
            }
        }
        Ok(found)
    }

    /// Collects the hits of one interval, until there are enough.
    async fn interval(
        &self,
        (start, end): (OffsetDateTime, OffsetDateTime),
        now: OffsetDateTime,
        seen: &mut HashSet<ConversationId>,
        found: &mut Found,
    ) -> Result<SearchedBack, NoPage> {
        let mut last = None;
        for number in 1..=PAGES {
            let asked =
                analytics::page(self.client, self.context, self.filter, self.queue_id, (start, end), number).await;
            let page = match (asked, last) {
                (Ok(page), _) => page,
                // Keep what was listed so far, and go on from there with a shorter interval.
                (Err(NoPage::TooMuch(_)), Some(last)) if last < end - Duration::milliseconds(1) => {
                    return Ok(SearchedBack::Until(last));
                }
                (Err(NoPage::TooMuch(_)), Some(_)) if end - start <= SHORTEST => return Err(in_one_moment()),
                (Err(refused), _) => return Err(refused),
            };
            let full = page.conversations.len() == PAGE && number * PAGE < page.total_hits;
            for conversation in &page.conversations {
                let began = conversation.conversation_start.as_deref().and_then(super::hit::time);
                last = began.or(last);
                let Some((began, id, fits)) = Hit::of(conversation, self.filter, self.guards, now) else { continue };
                // The upstream also returns what began earlier on the interval's first day.
                let within = (start..end).contains(&began);
                if !within || !self.filter.cursor.is_none_or(|c| c.precedes(began, id)) || !seen.insert(id) {
                    continue;
                }
                match fits {
                    Ok(hit) => found.hits.push(hit),
                    Err(why) => found.excluded.push((began, id, why)),
                }
            }
            if !full || last.is_some_and(|last| last < start || self.is_enough(found, last)) {
                return Ok(SearchedBack::Start);
            }
        }
        match last {
            Some(last) if last < end - Duration::milliseconds(1) => Ok(SearchedBack::Until(last)),
            // All began in one moment, so the rest cannot be queried separately, and must not be skipped silently.
            _ => Err(in_one_moment()),
        }
    }

    /// Whether there are more hits than wanted, and those still to come began before all that are wanted. Conversations
    /// of one moment are returned in any order.
    fn is_enough(&self, found: &Found, last: OffsetDateTime) -> bool {
        let limit = self.filter.limit;
        found.hits.len() > limit && found.hits.iter().take(limit).all(|hit| last < hit.start)
    }
}

/// What began in one moment is more than the upstream lists, and no interval is short enough.
fn in_one_moment() -> NoPage {
    NoPage::Problem(Problem::new(
        Code::InvalidQuery,
        "more conversations began in one moment than Genesys Cloud lists; narrow the search, by queue, medium or address",
    ))
}

/// How far an interval was searched.
enum SearchedBack {
    /// All of it, or as much as is needed.
    Start,
    /// Back to this moment; conversations that began before it are left.
    Until(OffsetDateTime),
}
