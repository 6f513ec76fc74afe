//! Records as CSV (RFC 4180). Cells that a spreadsheet would take for a formula are made text.

use serde_json::{Map, Value};

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
    let mut text = String::new();
    if with_head {
        text.push_str(&COLUMNS.join(","));
        text.push_str("\r\n");
    }
    for record in records {
        let members: Map<String, Value> = serde_json::from_str(record).unwrap_or_default();
        let cells: Vec<String> = COLUMNS.iter().map(|name| cell(members.get(*name))).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_breaks_the_table_or_becomes_a_formula() {
        let record =
            r#"{"time":"t","caller":"key:ivr","reason":"=HYPERLINK(\"x\"), he said\nso","verified":true,"code":null}"#;
        let text = table([record].into_iter(), true);
        let (head, row) = text.split_once("\r\n").unwrap();
        assert_eq!(head.split(',').count(), COLUMNS.len());
        assert_eq!(row, "t,,,key:ivr,,,,,\"'=HYPERLINK(\"\"x\"\"), he said\nso\",,,,true,,,,\r\n");
    }
}
