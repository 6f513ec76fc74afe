//! Lists of conversations as people have them: CSV with a head line, or one id a line. A wrong line refuses the whole file.

use std::collections::HashSet;
use std::path::Path;

use super::row::{HEAD, RowAction, SweepRow};
use crate::cli::Failure;
use crate::ids::{ConversationId, ParticipantId};
use crate::spreadsheet::{plain, reader, records};

/// What a file named.
#[derive(Debug, Default)]
pub(super) struct InputRows {
    pub(super) rows: Vec<SweepRow>,
    /// Rows that were there before.
    pub(super) repeated: usize,
}

/// Reads a file, or stdin for `-`.
///
/// # Errors
/// It cannot be read, or a line of it is wrong.
pub(super) fn read(path: &Path) -> Result<InputRows, Failure> {
    let unusable =
        |what: String| Failure::unusable(format!("--file {}: {what}; nobody was disconnected", path.display()));
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|e| unusable(format!("cannot be read ({e})")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8; save it as \"CSV UTF-8\"".to_owned()))?;
    parse(&text).map_err(unusable)
}

/// Reads the text of a list.
///
/// # Errors
/// The line that is wrong, and why.
pub(super) fn parse(text: &str) -> Result<InputRows, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut reader = reader(text, |cell| column(cell) == Some("conversationId") || is_id(cell));
    let (mut list, mut seen, mut columns) = (InputRows::default(), HashSet::new(), None);
    for record in records(text, &mut reader) {
        let (line, record) = record?;
        let at = |what: String| format!("line {line}: {what}");
        let Some(columns) = &columns else {
            let head = Columns::of(&record).map_err(at)?;
            if head == Columns::Ids {
                push(&mut list, &mut seen, head.row(&record).map_err(at)?);
            }
            columns = Some(head);
            continue;
        };
        push(&mut list, &mut seen, columns.row(&record).map_err(at)?);
    }
    Ok(list)
}

fn push(list: &mut InputRows, seen: &mut HashSet<(ConversationId, Option<ParticipantId>)>, row: SweepRow) {
    if seen.insert((row.conversation, row.participant)) {
        list.rows.push(row);
    } else {
        list.repeated += 1;
    }
}

/// What the cells of a line mean.
#[derive(Debug, PartialEq, Eq)]
enum Columns {
    /// No head line, and an id a line.
    Ids,
    /// By their place: the column of ours, where it is one.
    Named(Vec<Option<&'static str>>),
}

impl Columns {
    /// Of the first line.
    fn of(record: &csv::StringRecord) -> Result<Self, String> {
        let named: Vec<Option<&'static str>> = record.iter().map(column).collect();
        let count = |name| named.iter().filter(|column| **column == Some(name)).count();
        match count("conversationId") {
            1 if count("participantId") > 1 => Err("the head line names participantId twice".to_owned()),
            1 => Ok(Self::Named(named)),
            0 if record.len() == 1 && record.get(0).is_some_and(is_id) => Ok(Self::Ids),
            0 => {
                Err("this is neither the id of a conversation alone nor a head line that names a column conversationId"
                    .to_owned())
            }
            _ => Err("the head line names conversationId twice".to_owned()),
        }
    }

    fn row(&self, record: &csv::StringRecord) -> Result<SweepRow, String> {
        let named: &[Option<&'static str>] = match self {
            Self::Ids if record.len() > 1 => {
                return Err("one id a line, please, or a head line that names the columns".to_owned());
            }
            Self::Ids => &[Some("conversationId")],
            Self::Named(named) => named,
        };
        let mut cells = named.iter().zip(record).filter_map(|(name, cell)| Some(((*name)?, plain(cell))));
        let cell = |wanted: &str| cells.clone().find(|(name, _)| *name == wanted).map_or("", |(_, cell)| cell);
        let id = cell("conversationId");
        let conversation = ConversationId::parse(id)
            .ok_or_else(|| format!("\"{}\" is not the id of a conversation, a hyphenated UUID", shown(id)))?;
        let participant = match cell("participantId") {
            "" => None,
            id => Some(
                ParticipantId::parse(id)
                    .ok_or_else(|| format!("\"{}\" is not the id of a participant, a hyphenated UUID", shown(id)))?,
            ),
        };
        let mut row = SweepRow::new(conversation, participant);
        if cell("action") == RowAction::Teardown.word() && participant.is_none() {
            row.action = RowAction::Teardown;
        }
        cells.by_ref().for_each(|(name, cell)| row.set(name, cell));
        Ok(row)
    }
}

/// The column of ours that a head cell means, whatever its case, blanks and underscores.
fn column(cell: &str) -> Option<&'static str> {
    let plain: String = cell.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "id" => Some("conversationId"),
        _ => HEAD.into_iter().find(|name| name.eq_ignore_ascii_case(&plain)),
    }
}

fn is_id(cell: &str) -> bool {
    ConversationId::parse(plain(cell)).is_some()
}

fn shown(cell: &str) -> String {
    cell.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sweep::zone::Zone;

    const A: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    const B: &str = "1a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    #[test]
    fn ids_alone_and_tables_from_a_spreadsheet_are_read() {
        for text in [
            format!("{A}\n{B}\n"),
            format!("\u{feff}\r\n\"{A}\"\r\n\r\n{B}"),
            format!("Conversation ID;Note\r\n{A};\"one; two\"\r\n;\r\n{B};\r\n{A};again\r\n"),
            format!("note\tconversation_id\nx\t{A}\ny\t'{B}\n"),
            format!("\"note; old\",conversation_id\n\"x;\",{A}\ny,{B}\n"),
            format!("conversationId;\n{A};\n{B};\n"),
            format!("\n\"note\tof, old\";conversation_id\nx;{A}\ny;{B}\n"),
            format!("\u{feff}\"conversationId\",participantId\n{},\n{B},\n", A.to_uppercase()),
        ] {
            let list = parse(&text).unwrap();
            let ids: Vec<_> = list.rows.iter().map(|row| row.conversation.to_string()).collect();
            assert_eq!(ids, [A, B], "{text:?}");
            assert_eq!(list.repeated, usize::from(text.contains("again")), "{text:?}");
        }
        let named = parse(&format!("conversationId,participantId\n{A},{B}\n{A},\n")).unwrap();
        assert_eq!(
            named.rows.iter().map(|row| row.action).collect::<Vec<_>>(),
            [RowAction::Participant, RowAction::Customers]
        );
    }

    #[test]
    fn a_wrong_line_refuses_the_file_with_its_number() {
        for (text, said) in [
            (format!("{A}\n\n{B}\nnonsense\n"), "line 4: \"nonsense\""),
            (format!("{A},{B}\n"), "line 1: "),
            (format!("{A}\n{B},{A}\n"), "line 2: one id a line"),
            (format!("conversationId,participantId\r\n\r\n{A},x\r\n"), "line 3: \"x\" is not the id of a participant"),
            (format!("conversationId,from\n{A},\"two\nlines\"\n,+1\n"), "line 4: \"\" is not"),
            ("name,queue\na,b\n".to_owned(), "line 1: this is neither"),
            ("conversationId,conversationId\n".to_owned(), "line 1: the head line names"),
            ("conversationId;conversationId\n".to_owned(), "line 1: the head line names"),
            (" \n\n".to_owned(), "it is empty"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let mut row = SweepRow::new(ConversationId::parse(A).unwrap(), ParticipantId::parse(B));
        for (column, text) in [("from", "+1317"), ("start", "2026-01-31T12:00:00Z"), ("outcome", "unconfirmed")] {
            row.set(column, text);
        }
        let zone = Zone::named(Some("Asia/Tokyo")).unwrap();
        let text = format!("{}\n{}", HEAD.join(","), row.line(&zone));
        let read = parse(&text).unwrap().rows.remove(0);
        assert_eq!(read.line(&zone), row.line(&zone));
    }
}
