//! One row of a list or report: a conversation, what is known of it, and what became of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::zone::Zone;
use crate::ids::{ConversationId, ParticipantId};

/// The columns of a report, and of every list that a sweep writes. `--file` takes them all.
pub(super) const HEAD: [&str; 20] = [
    "conversationId",
    "media",
    "direction",
    "queueName",
    "divisionName",
    "start",
    "ageHours",
    "from",
    "to",
    "agent",
    "wrapup",
    "action",
    "outcome",
    "code",
    "correlationId",
    "time",
    "actor",
    "job",
    "detail",
    "participantId",
];

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowAction {
    /// Disconnect the participant that it names.
    Participant,
    /// Disconnect customers and external participants.
    Customers,
    /// End the whole conversation.
    Teardown,
}

impl RowAction {
    /// The word in a report.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Participant | Self::Customers => "disconnect",
            Self::Teardown => "teardown",
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct SweepRow {
    pub(super) conversation: ConversationId,
    pub(super) participant: Option<ParticipantId>,
    pub(super) action: RowAction,
    pub(super) start: Option<Timestamp>,
    pub(super) time: Option<Timestamp>,
    /// The other columns that have something in them, by name.
    cells: BTreeMap<&'static str, String>,
}

impl SweepRow {
    /// A row with nothing but ids.
    pub(super) fn new(conversation: ConversationId, participant: Option<ParticipantId>) -> Self {
        let action = if participant.is_some() { RowAction::Participant } else { RowAction::Customers };
        Self { conversation, participant, action, start: None, time: None, cells: BTreeMap::new() }
    }

    /// What stands in a column; nothing where it is empty.
    pub(super) fn get(&self, column: &str) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// Puts something into a column of the report. Other columns are left alone.
    pub(super) fn set(&mut self, column: &str, text: impl Into<String>) {
        let Some(column) = HEAD.into_iter().find(|name| *name == column) else { return };
        let text = text.into();
        match column {
            "conversationId" | "participantId" | "action" => {}
            "start" => self.start = text.parse().ok(),
            "time" => self.time = text.parse().ok(),
            _ if text.is_empty() => drop(self.cells.remove(column)),
            _ => drop(self.cells.insert(column, text)),
        }
    }

    /// The row as it is written.
    pub(super) fn line(&self, zone: &Zone) -> String {
        let time = |time: Option<Timestamp>| time.map(|time| zone.text(time)).unwrap_or_default();
        let cells = HEAD.map(|column| match column {
            "conversationId" => self.conversation.to_string(),
            "participantId" => self.participant.map(|id| id.to_string()).unwrap_or_default(),
            "action" => self.action.word().to_owned(),
            "start" => time(self.start),
            "time" => time(self.time),
            other => self.get(other).to_owned(),
        });
        crate::spreadsheet::line(cells.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_in_the_zone_and_without_formulas() {
        let mut row = SweepRow::new(ConversationId::parse("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d").unwrap(), None);
        row.set("start", "2026-01-31T12:00:00.000Z");
        row.set("from", "+13175550123");
        row.set("queueName", "=cmd|' /C calc'!A0");
        row.set("nonsense", "x");
        let line = row.line(&Zone::named(Some("Europe/Berlin")).unwrap());
        assert_eq!(
            line,
            "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d,,,'=cmd|' /C calc'!A0,,2026-01-31T13:00:00+01:00,,'+13175550123,,,,\
             disconnect,,,,,,,,\n"
        );
    }
}
