//! What a sweep is about to do, before it does it.

use std::collections::BTreeMap;

use super::row::{RowAction, SweepRow};
use super::zone::Zone;
use crate::cli::table;

/// Lines of the table of queues and media.
const MOST_LINES: usize = 12;
/// Calls a minute that Genesys Cloud allows a token, where the service does not tell its own.
pub(super) const USUAL_RATE: u64 = 300;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Preview {
    /// What was found or named, with what is left out.
    pub(super) found: usize,
    /// What is left out, and why.
    pub(super) excluded: Vec<(usize, String)>,
    /// Rows in which analytics sees an agent or user.
    pub(super) with_agent: usize,
    /// Conversations with a live agent or user are left alone.
    pub(super) skips_agents: bool,
    /// Nobody is disconnected.
    pub(super) dry_run: bool,
    /// Calls a minute that the upstream allows.
    pub(super) rate: Option<u64>,
}

impl Preview {
    /// In words and tables.
    pub(super) fn text(&self, rows: &[SweepRow], zone: &Zone) -> String {
        let mut lines = vec![vec![self.found.to_string(), "live conversations found or named".to_owned()]];
        lines.extend(self.excluded.iter().map(|(count, why)| vec![format!("-{count}"), why.clone()]));
        lines.push(vec![rows.len().to_string(), self.verb().to_owned()]);
        for (action, count) in counted(rows.iter().map(|row| row.action)) {
            let what = match action {
                RowAction::Participant => "by disconnecting the one participant that the row names",
                RowAction::Customers => "by disconnecting customers and external participants",
                RowAction::Teardown => "by ending the whole conversation",
            };
            lines.push(vec![String::new(), format!("{count} {what}")]);
        }
        if self.with_agent > 0 {
            let then = if self.skips_agents { "it is left alone if one is there" } else { "they are not left alone" };
            lines.push(vec![
                String::new(),
                format!(
                    "in {} analytics sees an agent or user; a read just before each decides: {then}",
                    self.with_agent
                ),
            ]);
        }
        let mut text = table::render(&["NUMBER", "WHAT"], &lines);
        let kinds: Vec<_> = counted(rows.iter().map(|row| (row.get("queueName"), row.get("media"))));
        if kinds.iter().any(|((queue, medium), _)| !queue.is_empty() || !medium.is_empty()) {
            let mut kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| (count, kind)).collect();
            kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
            let more = kinds.len().saturating_sub(MOST_LINES);
            let mut rows: Vec<_> = kinds
                .iter()
                .take(MOST_LINES)
                .map(|(count, (queue, medium))| vec![count.to_string(), (*medium).to_owned(), (*queue).to_owned()])
                .collect();
            if more > 0 {
                rows.push(vec!["…".to_owned(), String::new(), format!("and {more} more")]);
            }
            text.push_str(&format!("\n{}", table::render(&["NUMBER", "MEDIUM", "QUEUE"], &rows)));
        }
        let starts = || rows.iter().filter_map(|row| row.start);
        if let (Some(oldest), Some(youngest)) = (starts().min(), starts().max()) {
            text.push_str(&format!("\n  Began between {} and {}.\n", zone.short(oldest), zone.short(youngest)));
        }
        text.push_str(&format!("\n  {}\n", self.duration(rows)));
        text
    }

    fn verb(&self) -> &'static str {
        if self.dry_run { "are looked at; nobody is disconnected" } else { "are to be cleared" }
    }

    /// Calls to the upstream that one row costs.
    fn calls(&self, action: RowAction) -> u64 {
        let looks = u64::from(action != RowAction::Participant || self.skips_agents);
        // The disconnect itself, and the read that confirms it; a dry run reads once instead.
        looks + if self.dry_run { 1 } else { 2 }
    }

    fn duration(&self, rows: &[SweepRow]) -> String {
        let calls: u64 = rows.iter().map(|row| self.calls(row.action)).sum();
        let each = rows.iter().map(|row| self.calls(row.action)).max().unwrap_or_default();
        let rate = self.rate.unwrap_or(USUAL_RATE).max(1);
        let basis = if self.rate.is_some() { "allowed now" } else { "which is usual" };
        let time = humantime::format_duration(std::time::Duration::from_secs(round(calls * 60 / rate)));
        format!("Takes about {time}: {each} calls for each, at {rate} calls a minute ({basis}).")
    }
}

/// Rounded to minutes, if it is several of them.
fn round(seconds: u64) -> u64 {
    if seconds < 120 { seconds.max(1) } else { seconds.div_ceil(60) * 60 }
}

/// Each value with how often it is there.
pub(super) fn counted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().collect()
}
