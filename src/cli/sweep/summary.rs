//! The end of a sweep in words, and as an exit code.

use std::path::Path;

use super::fate::Fate;
use super::follow::SweepEnd;
use super::preview::counted;
use super::report;
use super::row::SweepRow;
use super::zone::Zone;
use crate::cli::Failure;
use crate::cli::table;
use crate::cli::text::{Tone, toned};
use crate::cli::words::meaning;

/// Everything else is gone, and some were left alone.
const LEFT_ALONE: u8 = 3;
/// Some go on, or may.
const STAY: u8 = 4;
/// Paused, or held.
const STOPPED: u8 = 5;
/// The service does not tell.
const LOST: u8 = 6;

/// A sweep that has ended, finished or not.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) end: SweepEnd,
    pub(super) id: &'a str,
    pub(super) path: &'a Path,
    pub(super) rows: &'a [SweepRow],
    pub(super) fates: &'a [Fate],
    pub(super) zone: &'a Zone,
}

/// The service does not answer any more: its job goes on all the same.
pub(super) fn lost(id: &str, why: &str) -> Failure {
    let text = format!(
        "{why}\nthe job is stored and goes on by itself; see what became of it with: hangup sweep --resume {id}"
    );
    Failure { code: LOST, text }
}

/// Writes the lists for a second run, and reports what became of the rows.
pub(super) fn conclude(ended: &Ended<'_>) -> Result<(), Failure> {
    let count = |fate| ended.fates.iter().filter(|own| **own == fate).count();
    let kinds = [
        (Fate::Gone, "gone", Tone::Good),
        (Fate::WouldGo, "would be disconnected", Tone::Good),
        (Fate::LeftAlone, "left alone", Tone::Doubtful),
        (Fate::Stays, "stay", Tone::Bad),
        (Fate::NotFound, "not known to Genesys Cloud", Tone::Bad),
        (Fate::Pending, "not tried yet", Tone::Doubtful),
    ];
    let words = kinds.iter().filter(|(fate, ..)| count(*fate) > 0 || *fate == Fate::Gone && count(Fate::WouldGo) == 0);
    let words: Vec<_> = words.map(|(fate, word, tone)| toned(*tone, &format!("{} {word}", count(*fate)))).collect();
    println!("\nOf {}: {}.\n", ended.rows.len(), words.join(", "));
    println!("{}", outcomes(ended.rows, ended.fates));
    println!("Report: {}", ended.path.display());
    let list = |what, fate| report::list(ended.path, what, ended.rows, ended.fates, fate, ended.zone);
    let (alone, stay) = (list("left-alone", Fate::LeftAlone)?, list("stays", Fate::Stays)?);
    if let Some(path) = &alone {
        println!(
            "Left alone: {}\n  Try these again later with:  hangup sweep --file {}",
            path.display(),
            path.display()
        );
    }
    if let Some(path) = &stay {
        println!(
            "What stays: {}\n  End these as whole conversations with:  hangup sweep --file {} --teardown unconfirmed",
            path.display(),
            path.display()
        );
    }
    verdict(ended, count)
}

fn verdict(ended: &Ended<'_>, count: impl Fn(Fate) -> usize) -> Result<(), Failure> {
    let resume = format!("go on with: hangup sweep --resume {}", ended.id);
    let (code, text) = match &ended.end {
        SweepEnd::Interrupted => (STOPPED, format!("paused; items under way are finished; {resume}")),
        SweepEnd::Stopped(why) => (STOPPED, format!("{why}; {resume}")),
        SweepEnd::Lost(why) => return Err(lost(ended.id, why)),
        SweepEnd::Done if count(Fate::Stays) + count(Fate::NotFound) + count(Fate::Pending) > 0 => {
            (STAY, "some stay; the report says why".to_owned())
        }
        SweepEnd::Done if count(Fate::LeftAlone) > 0 && count(Fate::WouldGo) == 0 => {
            (LEFT_ALONE, "some were left alone; everything else is gone".to_owned())
        }
        SweepEnd::Done => return Ok(()),
    };
    Err(Failure { code, text })
}

/// How often each outcome came, and what it means.
fn outcomes(rows: &[SweepRow], fates: &[Fate]) -> String {
    let kinds =
        rows.iter().zip(fates).map(|(row, fate)| (*fate, row.get("outcome"), row.get("code"), reason(row, *fate)));
    let lines: Vec<Vec<String>> = counted(kinds)
        .into_iter()
        .map(|((fate, outcome, code, reason), count)| {
            let word = if code.is_empty() { outcome } else { code };
            let means = match fate {
                Fate::Gone if outcome == "disconnected" => {
                    "hangup disconnected them, and a read showed that they are gone".to_owned()
                }
                Fate::Gone if outcome == "already_disconnected" => "they had left before".to_owned(),
                Fate::Pending => "hangup has not tried them yet".to_owned(),
                _ if !reason.is_empty() => reason.to_owned(),
                _ => meaning(word, true).to_owned(),
            };
            vec![count.to_string(), if word.is_empty() { "-" } else { word }.to_owned(), means]
        })
        .collect();
    table::render(&["NUMBER", "OUTCOME", "WHAT IT MEANS"], &lines)
}

/// The words of the job, where they are the same for many rows.
fn reason(row: &SweepRow, fate: Fate) -> &str {
    match fate {
        Fate::LeftAlone | Fate::Stays => row.get("detail"),
        _ => "",
    }
}
