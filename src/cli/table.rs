//! Small tables for people at a terminal.

/// Columns padded to their widest cell, two blanks between them.
pub(super) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let line = |cells: &[&str]| {
        let padded: Vec<String> =
            cells.iter().enumerate().map(|(n, cell)| format!("{cell:<w$}", w = width(n))).collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let mut table = line(head);
    for row in rows {
        table.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["bbb".to_owned(), String::new()]];
        assert_eq!(super::render(&["x", "y"], &rows), "  x    y\n  a    long cell\n  bbb\n");
    }
}
