//! Items as a file: CSV or NDJSON. A wrong line refuses the whole file, with its number.

use serde_json::{Map, Value};

use super::input::{ItemInput, read_item};

/// Items with the numbers of their lines.
pub(super) type Numbered = Vec<(i64, ItemInput)>;

const BOM: &str = "\u{feff}";

/// Reads CSV with a head line. Columns that are not members of an item are left alone: a report is a list, too.
///
/// # Errors
/// The line that is wrong, and why.
pub fn read_csv(text: &str) -> Result<Numbered, String> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| format!("line 1: {error}"))?.clone();
    if !head.iter().any(|name| name == "conversationId") {
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
    let mut items = Vec::new();
    let mut lines = Lines::of(text);
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = lines.at(record.position().map_or(0, csv::Position::byte));
        if record.iter().all(str::is_empty) {
            continue;
        }
        let members: Map<String, Value> = head
            .iter()
            .zip(record.iter())
            .filter(|(name, _)| super::MEMBERS.contains(name))
            .map(|(name, value)| (name.to_owned(), plain(value).into()))
            .collect();
        let item = read_item(&members).map_err(|error| format!("line {line}: {error}"))?;
        items.push((line, item));
    }
    Ok(items)
}

/// Counts the lines of a text on the way through it. The reader's own count leaves out blank lines and half of each `\r\n`.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    counted: usize,
    line: i64,
}

impl<'a> Lines<'a> {
    /// From the first line on.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), counted: 0, line: 1 }
    }

    /// The line of the record that begins at this byte, or after the line ends that follow it.
    pub(crate) fn at(&mut self, byte: u64) -> i64 {
        let mut start = usize::try_from(byte).unwrap_or(0).max(self.counted);
        while self.text.get(start).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            start += 1;
        }
        let passed = self.text.get(self.counted..start).unwrap_or_default();
        self.line += passed.iter().map(|byte| i64::from(*byte == b'\n')).sum::<i64>();
        self.counted = start;
        self.line
    }
}

/// A cell as it was before our own download neutralised it.
fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Reads one JSON object a line. Empty lines are left out.
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
        let members = match serde_json::from_str(line) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(format!("line {number}: each line must be a JSON object")),
            Err(error) => return Err(format!("line {number}: not valid JSON (column {})", error.column())),
        };
        items.push((number, read_item(&members).map_err(|error| format!("line {number}: {error}"))?));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_wrong_line_is_named_as_the_file_counts() {
        let csv = format!("conversationId,participantId\n{CID},{PID}\n\n{CID},nonsense\n");
        assert!(read_csv(&csv).unwrap_err().starts_with("line 4: participantId"), "{:?}", read_csv(&csv));
        assert!(read_csv("a,b\n1,2\n").unwrap_err().starts_with("line 1:"));
        let ndjson = format!("{{\"conversationId\":\"{CID}\",\"all\":true}}\n\n{{\n");
        assert!(read_ndjson(&ndjson).unwrap_err().starts_with("line 3:"));
        assert!(read_ndjson("[]\n").unwrap_err().starts_with("line 1:"));
    }
}
