//! Records as CSV.

use serde_json::{Map, Value};

use crate::spreadsheet::line;

/// The columns, by the names of the records' members.
const COLUMNS: [&str; 17] = [
    "time",
    "event",
    "instance",
    "caller",
    "actor",
    "job",
    "conversationId",
    "participantId",
    "reason",
    "operation",
    "outcome",
    "code",
    "verified",
    "effect",
    "requestId",
    "correlationId",
    "suppressed",
];

/// A row for each record.
pub(super) fn table<'a>(records: impl Iterator<Item = &'a str>, with_head: bool) -> String {
    let mut text = if with_head { line(COLUMNS) } else { String::new() };
    for record in records {
        let members: Map<String, Value> = serde_json::from_str(record).unwrap_or_default();
        let cells = COLUMNS.map(|name| cell(members.get(name)));
        text.push_str(&line(cells.iter().map(String::as_str)));
    }
    text
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_column_and_what_is_unknown_an_empty_cell() {
        let record = r#"{"time":"t","caller":"key:ivr","reason":"=1, he said","verified":true,"code":null}"#;
        let text = table([record].into_iter(), true);
        let (head, row) = text.split_once('\n').unwrap();
        assert_eq!(head.split(',').count(), COLUMNS.len());
        assert_eq!(row, "t,,,key:ivr,,,,,\"'=1, he said\",,,,true,,,,\n");
    }
}
