//! CSV that opens in a spreadsheet: cells that a spreadsheet would take for a formula are neutralised.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_looks_like_a_formula_is_neutralised_and_quotes_are_doubled() {
        assert_eq!(line(["=1+1", "a\"b", "-x", "plain", ""]), "'=1+1,\"a\"\"b\",'-x,plain,\n");
    }
}
