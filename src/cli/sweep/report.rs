//! The files that a sweep leaves behind: the report of all rows, and lists for a second run.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::fate::Fate;
use super::row::{HEAD, SweepRow};
use super::zone::Zone;
use crate::cli::Failure;

/// Writes rows to a file that only its owner can read, because addresses are personal data. An older version of it is replaced as
/// a whole.
///
/// # Errors
/// It cannot be written.
pub(super) fn write<'a>(path: &Path, rows: impl Iterator<Item = &'a SweepRow>, zone: &Zone) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::failed(format!("{}: cannot be written ({e})", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.write(true).create(true).truncate(true).open(&new).map_err(failed)?;
    let mut out = std::io::BufWriter::new(file);
    let text: String = std::iter::once(format!("{}\n", HEAD.join(","))).chain(rows.map(|row| row.line(zone))).collect();
    // Excel needs a byte order mark where the text is not ASCII; elsewhere it is left out, because some scripts stumble over it.
    let mark = if text.is_ascii() { "" } else { "\u{feff}" };
    let written = out.write_all(mark.as_bytes()).and_then(|()| out.write_all(text.as_bytes()));
    let done = written.and_then(|()| out.flush()).and_then(|()| std::fs::rename(&new, path));
    done.map_err(|e| {
        let _ = std::fs::remove_file(&new);
        failed(e)
    })
}

/// Where the report of a sweep goes by default.
pub(super) fn default_path(id: &str) -> PathBuf {
    PathBuf::from(format!("sweep-{id}.csv"))
}

/// The name of a list beside the report.
pub(super) fn beside(report: &Path, what: &str) -> PathBuf {
    let stem = report.file_stem().unwrap_or_default().to_string_lossy();
    report.with_file_name(format!("{stem}-{what}.csv"))
}

/// Writes the rows of one fate to a list beside the report, and gives its path if there are any.
///
/// # Errors
/// It cannot be written.
pub(super) fn list(
    report: &Path,
    what: &str,
    rows: &[SweepRow],
    fates: &[Fate],
    fate: Fate,
    zone: &Zone,
) -> Result<Option<PathBuf>, Failure> {
    let path = beside(report, what);
    if !fates.contains(&fate) {
        // That of an earlier part of the same sweep no longer holds.
        let _ = std::fs::remove_file(&path);
        return Ok(None);
    }
    write(&path, rows.iter().zip(fates).filter(|(_, own)| **own == fate).map(|(row, _)| row), zone)?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ids::ConversationId;

    #[test]
    fn a_report_is_replaced_as_a_whole_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let zone = Zone::named(Some("UTC")).unwrap();
        let row = SweepRow::new(ConversationId::parse("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d").unwrap(), None);
        write(&path, [&row, &row].into_iter(), &zone).unwrap();
        write(&path, [&row].into_iter(), &zone).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(beside(&path, "stays"), folder.path().join("report-stays.csv"));
        let missing = folder.path().join("no such folder").join("report.csv");
        assert_eq!(write(&missing, [&row].into_iter(), &zone).unwrap_err().code, 1);
    }
}
