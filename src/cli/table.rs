//! Tables for people at a terminal: within 100 columns, whatever the cells hold.

use super::text::{COLUMNS, clipped, printable};
use crate::ids::ConversationId;

/// Between columns.
const GAP: usize = 2;
/// What every line begins with.
const INDENT: usize = 2;
/// A column is not made narrower than this.
const NARROW: usize = 8;
/// What the last column is given at least before others are made narrower.
const LAST: usize = 24;

/// Columns padded to their widest cell. Where they would take too much room, the widest are cut short, but never ids; the last
/// column is wrapped.
pub(super) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|title| title.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let room = COLUMNS.saturating_sub(INDENT + GAP * widths.len().saturating_sub(1));
    // Ids are shown whole, so that they can be copied.
    let ids: Vec<bool> =
        (0..widths.len()).map(|n| rows.iter().any(|row| row.get(n).is_some_and(|cell| is_id(cell)))).collect();
    let last = fit(&mut widths, &ids, room);
    let mut table = String::new();
    line(&mut table, head.iter().map(|title| (*title).to_owned()), &widths, last);
    for row in rows {
        line(&mut table, row.into_iter(), &widths, last);
    }
    table
}

/// Makes columns narrower until all fit, and gives the width of the last.
fn fit(widths: &mut [usize], ids: &[bool], room: usize) -> usize {
    let Some((last, others)) = widths.split_last_mut() else { return 0 };
    let wanted = if ids.last() == Some(&true) { *last } else { (*last).min(LAST) };
    while others.iter().sum::<usize>() + wanted > room {
        let narrower = others.iter_mut().zip(ids).filter(|(width, id)| !**id && **width > NARROW);
        let Some((widest, _)) = narrower.max_by_key(|(width, _)| **width) else { break };
        *widest -= 1;
    }
    room.saturating_sub(others.iter().sum()).max(wanted)
}

fn is_id(text: &str) -> bool {
    ConversationId::parse(text).is_some()
}

fn line(table: &mut String, cells: impl Iterator<Item = String>, widths: &[usize], last: usize) {
    let mut cells: Vec<String> = cells.collect();
    let tail = cells.pop().unwrap_or_default();
    let mut start = " ".repeat(INDENT);
    for (cell, width) in cells.iter().zip(widths) {
        start.push_str(&format!("{:<width$}", clipped(cell, *width)));
        start.push_str(&" ".repeat(GAP));
    }
    let margin = start.chars().count();
    for (n, part) in wrapped(&tail, last).iter().enumerate() {
        let begin = if n == 0 { start.clone() } else { " ".repeat(margin) };
        table.push_str(format!("{begin}{part}").trim_end());
        table.push('\n');
    }
}

/// Lines of at most `width` characters, broken at blanks where there are some.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word;
        let mut length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        while length > width.max(1) {
            let cut = word.char_indices().nth(width.max(1)).map_or(word.len(), |(at, _)| at);
            let (part, rest) = word.split_at(cut);
            if let Some(line) = lines.last_mut() {
                line.push_str(part);
            }
            lines.push(String::new());
            word = rest;
            length = word.chars().count();
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
            }
            line.push_str(word);
            used = line.chars().count();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [row(&["a", "long cell"]), row(&["bbb", ""])];
        assert_eq!(render(&["x", "y"], &rows), "  x    y\n  a    long cell\n  bbb\n");
    }

    #[test]
    fn a_table_takes_100_columns_whatever_is_in_it() {
        let id = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
        let long = "word ".repeat(60);
        let endless = "x".repeat(300);
        for cells in [
            [id, &long, &long, &long, &long],
            [id, &endless, "a", "b", &endless],
            [&endless, &endless, &endless, &endless, &endless],
            ["a\nb", "\u{1b}[31m", &long, "c", id],
        ] {
            let table = render(&["ID", "ONE", "TWO", "THREE", "LAST"], &[row(&cells)]);
            for line in table.lines() {
                assert!(line.chars().count() <= COLUMNS && !line.contains('\u{1b}'), "{line:?}");
            }
            assert!(!cells.contains(&id) || table.contains(id), "ids are whole:\n{table}");
        }
    }
}
