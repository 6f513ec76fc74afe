//! CSV as spreadsheets read and write it. What we write opens in one: cells that it would take for a formula are neutralised.

/// One line, with its end.
#[must_use]
pub(crate) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let cells = cells.into_iter().map(neutral);
    // Writing into memory does not fail.
    let _ = writer.write_record(cells.map(std::borrow::Cow::into_owned));
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A cell that begins like a formula gets a quote in front, which spreadsheets take as "this is text".
fn neutral(cell: &str) -> std::borrow::Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}").into() } else { cell.into() }
}

/// A cell as it was before [`line`] neutralised it.
#[must_use]
pub(crate) fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// What spreadsheets separate cells with, the usual one first.
const DELIMITERS: [char; 3] = [',', ';', '\t'];

/// Reads `text` with the delimiter that makes a cell of its first line one that `is_known`, or else with commas. Quotes are
/// respected: what is in them separates nothing.
pub(crate) fn reader(text: &str, is_known: impl Fn(&str) -> bool) -> csv::Reader<&[u8]> {
    let read_with = |delimiter: char| {
        let mut builder = csv::ReaderBuilder::new();
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        builder.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(delimiter).from_reader(text.as_bytes())
    };
    let fits = |delimiter: &char| {
        let mut reader = read_with(*delimiter);
        let first = records(text, &mut reader).next();
        // A cell with a delimiter in it may be several.
        first.is_some_and(|first| {
            first.is_ok_and(|(_, cells)| cells.iter().any(|cell| !cell.contains(DELIMITERS) && is_known(cell)))
        })
    };
    read_with(DELIMITERS.into_iter().find(fits).unwrap_or(','))
}

/// The records of `text`, which `reader` reads, each with the number of its line. Blank ones are left out.
pub(crate) fn records<'a>(
    text: &'a str,
    reader: &'a mut csv::Reader<&'a [u8]>,
) -> impl Iterator<Item = Result<(i64, csv::StringRecord), String>> {
    let mut lines = Lines::of(text);
    reader.records().filter_map(move |record| match record {
        Ok(record) => {
            let line = lines.at(record.position().map_or(0, csv::Position::byte));
            (!record.iter().all(str::is_empty)).then_some(Ok((line, record)))
        }
        Err(error) => Some(Err(error.to_string())),
    })
}

/// Counts the lines of a text on the way through it. The reader's own count leaves out blank lines and half of each `\r\n`.
#[derive(Debug)]
struct Lines<'a> {
    text: &'a [u8],
    counted: usize,
    line: i64,
}

impl<'a> Lines<'a> {
    /// From the first line on.
    fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), counted: 0, line: 1 }
    }

    /// The line of the record that begins at this byte, or after the line ends that follow it.
    fn at(&mut self, byte: u64) -> i64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_looks_like_a_formula_is_neutralised_and_quotes_are_doubled() {
        assert_eq!(line(["=1+1", "a\"b", "-x", "plain", ""]), "'=1+1,\"a\"\"b\",'-x,plain,\n");
    }
}
