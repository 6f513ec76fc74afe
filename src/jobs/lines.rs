//! Items as a file: CSV or NDJSON. One wrong line fails the whole file, with an error that gives its number.

use serde_json::{Map, Value};

use super::input::{ItemInput, read_item};
use crate::spreadsheet::{plain, reader, records};
use crate::strict_json;

/// Items with the numbers of their lines.
pub(super) type Numbered = Vec<(i64, ItemInput)>;

const BOM: &str = "\u{feff}";

/// Reads CSV with a header line. Other columns than an item's members are ignored, so that a job's report can be sent
/// as a list.
///
/// # Errors
/// The line that is wrong, and why.
pub fn read_csv(text: &str) -> Result<Numbered, String> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut reader = reader(text, |column| member(column) == Some("conversationId"));
    let mut records = records(text, &mut reader);
    let (_, head) = records.next().transpose().map_err(|error| format!("line 1: {error}"))?.unwrap_or_default();
    let columns: Vec<Option<&str>> = head.iter().map(member).collect();
    if !columns.contains(&Some("conversationId")) {
        return Err(format!(
            "line 1: the head line must name the columns, conversationId among them; it says \"{}\"",
            head.iter()
                .take(10)
                .collect::<Vec<_>>()
                .join(",")
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect::<String>()
        ));
    }
    let twice = super::MEMBERS.iter().find(|name| columns.iter().filter(|column| **column == Some(**name)).count() > 1);
    if let Some(name) = twice {
        return Err(format!("line 1: the head line names \"{name}\" twice"));
    }
    let mut items = Vec::new();
    for record in records {
        let (line, record) = record?;
        let members: Map<String, Value> = columns
            .iter()
            .zip(record.iter())
            .filter_map(|(name, value)| Some(((*name)?.to_owned(), plain(value).into())))
            .collect();
        let item = read_item(&members).map_err(|error| format!("line {line}: {error}"))?;
        items.push((line, item));
    }
    Ok(items)
}

/// The member that a column is, ignoring case, spaces, `_` and `-`: ignoring a column `Participant ID` would widen its
/// items.
fn member(column: &str) -> Option<&'static str> {
    let bare: String = column.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    super::MEMBERS.into_iter().find(|name| name.eq_ignore_ascii_case(&bare))
}

/// Reads one JSON object per line. Empty lines are skipped.
///
/// # Errors
/// The line that is wrong, and why.
pub fn read_ndjson(text: &str) -> Result<Numbered, String> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut items = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let members = match strict_json::parse(line) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(format!("line {number}: each line must be a JSON object")),
            Err(error) if strict_json::repeats(&error) => return Err(format!("line {number}: {error}")),
            Err(error) => return Err(format!("line {number}: not valid JSON (column {})", error.column())),
        };
        items.push((number, read_item(&members).map_err(|error| format!("line {number}: {error}"))?));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::TargetInput;

    const CID: &str = "11111111-1111-4111-8111-111111111111";
    const PID: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn a_file_from_a_spreadsheet_is_read_with_bom_quotes_blank_lines_and_other_columns() {
        let text = format!(
            "{BOM}queueName,conversationId,participantId\r\n\"Support, 1\",\"{CID}\",{PID}\r\n\r\n,,\r\nx,{CID},'{PID}\r\n"
        );
        let items = read_csv(&text).unwrap();
        assert_eq!(items.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(items[0].1, items[1].1);
        let selector = format!("conversationId,selector\n{CID},\"{{\"\"purpose\"\":\"\"customer\"\"}}\"\n");
        assert_eq!(read_csv(&selector).unwrap().len(), 1);
    }

    #[test]
    fn columns_are_known_in_any_case_and_between_semicolons_or_tabs() {
        for text in [
            format!("ConversationID;Note;ParticipantId\r\n{CID};\"a; b\nc\";{PID}\r\n"),
            format!("note\tconversationid\tparticipantid\n\t{CID}\t{PID}"),
            format!("conversation_id,Participant ID,\"note; old\"\n{CID},{PID},\"a; b\"\n"),
            format!("conversationId,participant-id,note\r{CID},{PID},a;b\r"),
        ] {
            let items = read_csv(&text).unwrap();
            assert!(matches!(items[0].1.target, TargetInput::Participant(_)), "{text:?}");
        }
        let wider = format!("conversationId,participantID,all\n{CID},{PID},true\n");
        assert!(read_csv(&wider).unwrap_err().starts_with("line 2: give exactly one"), "{:?}", read_csv(&wider));
        let twice = format!("conversationId,conversationid,all\n{CID},{CID},true\n");
        assert!(read_csv(&twice).unwrap_err().starts_with("line 1: the head line names"));
    }

    #[test]
    fn the_wrong_line_is_named_as_the_file_counts() {
        let csv = format!("conversationId,participantId\n{CID},{PID}\n\n{CID},nonsense\n");
        assert!(read_csv(&csv).unwrap_err().starts_with("line 4: participantId"), "{:?}", read_csv(&csv));
        assert!(read_csv("a,b\n1,2\n").unwrap_err().starts_with("line 1:"));
        let ndjson = format!("{{\"conversationId\":\"{CID}\",\"all\":true}}\n\n{{\n");
        assert!(read_ndjson(&ndjson).unwrap_err().starts_with("line 3:"));
        assert!(read_ndjson("[]\n").unwrap_err().starts_with("line 1:"));
    }
}
