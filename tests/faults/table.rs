//! The table: each test leaves one row, from which docs/FAULTS.md is made.

use std::path::PathBuf;

use serde_json::json;

/// One row. `measured` is what this run saw; everything else is the same for every run that passes.
#[derive(Debug)]
pub(crate) struct Row {
    /// Heading that it comes under.
    pub(crate) theme: &'static str,
    /// What goes wrong.
    pub(crate) fault: &'static str,
    /// What callers see meanwhile.
    pub(crate) callers_see: &'static str,
    /// What the test holds.
    pub(crate) figure: &'static str,
    /// What this run measured.
    pub(crate) measured: String,
    /// `module::name` of the test.
    pub(crate) test: &'static str,
    /// Whether the quick half does not write it.
    pub(crate) long_half: bool,
}

impl Row {
    /// Writes it where `scripts/faults-table` looks.
    pub(crate) fn write(self) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults");
        std::fs::create_dir_all(&directory).expect("a directory for rows");
        let row = json!({
            "theme": self.theme, "fault": self.fault, "callers_see": self.callers_see,
            "figure": self.figure, "measured": self.measured, "test": self.test, "long_half": self.long_half,
        });
        let file = directory.join(format!("{}.json", self.test.replace("::", ".")));
        println!("{}: {}", self.test, self.measured);
        std::fs::write(file, format!("{row:#}\n")).expect("a row");
    }
}

/// Whether the long half runs, too.
pub(crate) fn long() -> bool {
    std::env::var("HANGUP_FAULTS").is_ok_and(|v| v == "all")
}

/// Says that a test of the long half is left out.
pub(crate) fn left_out(test: &str) -> bool {
    if !long() {
        println!("{test}: left out; HANGUP_FAULTS=all runs it");
    }
    !long()
}
