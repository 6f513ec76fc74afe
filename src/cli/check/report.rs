//! What was checked, what came of it, and what to do.

use serde::Serialize;

use super::super::table;
use super::super::text::{Tone, toned};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckVerdict {
    Ok,
    Warn,
    Fail,
    Skipped,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CheckLine {
    check: &'static str,
    result: CheckVerdict,
    detail: String,
    remedy: Option<String>,
}

impl CheckLine {
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, result: CheckVerdict::Ok, detail: detail.into(), remedy: None }
    }

    pub(super) fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: CheckVerdict::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: CheckVerdict::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, result: CheckVerdict::Skipped, detail: detail.into(), remedy: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct Report(Vec<CheckLine>);

impl Report {
    pub(super) fn add(&mut self, item: CheckLine) {
        self.0.push(item);
    }

    pub(super) fn items(&self) -> &[CheckLine] {
        &self.0
    }

    pub(super) fn failed(&self) -> bool {
        self.0.iter().any(|item| item.result == CheckVerdict::Fail)
    }

    /// What it comes to, in one line.
    pub(super) fn verdict(&self) -> String {
        if self.failed() {
            return format!("{}: {}", toned(Tone::Bad, "Not ready"), self.names(CheckVerdict::Fail));
        }
        let warnings = self.names(CheckVerdict::Warn);
        match warnings.as_str() {
            "" => format!("{}: hangup can work with this configuration", toned(Tone::Good, "Ready")),
            _ => format!("{}, with warnings: {warnings}", toned(Tone::Doubtful, "Ready")),
        }
    }

    /// Names what failed, for the last line.
    pub(super) fn summary(&self) -> String {
        format!("not right: {}", self.names(CheckVerdict::Fail))
    }

    fn names(&self, result: CheckVerdict) -> String {
        let named: Vec<_> = self.0.iter().filter(|item| item.result == result).map(|item| item.check).collect();
        named.join(", ")
    }

    pub(super) fn table(&self) -> String {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|item| {
                let result = match item.result {
                    CheckVerdict::Ok => "ok",
                    CheckVerdict::Warn => "warn",
                    CheckVerdict::Fail => "FAIL",
                    CheckVerdict::Skipped => "skipped",
                };
                let remedy = item.remedy.as_ref().map(|remedy| format!(" → {remedy}")).unwrap_or_default();
                vec![item.check.to_owned(), result.to_owned(), format!("{}{remedy}", item.detail)]
            })
            .collect();
        table::render(&["CHECK", "RESULT", "DETAIL → REMEDY"], &rows)
    }
}
