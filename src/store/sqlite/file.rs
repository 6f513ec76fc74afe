//! The file of the embedded database: where it is, who may read it, and whether it can be used.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How soon a busy file is tried again at the start.
const RETRY_AFTER: Duration = Duration::from_millis(10);
/// Larger files are not checked for damage at the start: it would take too long.
const CHECKED_UP_TO: u64 = 256 << 20;

/// Where the file is by default: in the state folder that systemd gives us, else in the user's.
pub(in super::super) fn default_path(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    // Systemd separates several folders by colons.
    let given = set("STATE_DIRECTORY").map(|list| PathBuf::from(list.split(':').next().unwrap_or_default()));
    let user = || set("XDG_STATE_HOME").map(|state| PathBuf::from(state).join("hangup"));
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state/hangup"));
    given.or_else(user).or_else(home).map(|folder| folder.join("hangup.db"))
}

/// Creates folder and file if they are missing, readable by us alone. Returns the path with links in its folder resolved.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().ok_or_else(|| "names no file".to_owned())?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| format!("the folder {} cannot be made ({e})", folder.display()))?;
    // A link on the way to the folder is the administrator's choice; one in place of the file may be anyone's, so it is refused.
    let folder = folder.canonicalize().map_err(|e| format!("the folder {} cannot be used ({e})", folder.display()))?;
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => Err("it is a symbolic link, which is not followed".to_owned()),
        Ok(found) if !found.is_file() => Err("it is not a regular file".to_owned()),
        Ok(found) => {
            // This fails on another user's file; whether we can write to it is found out later, by `check`.
            if found.permissions().mode() & 0o077 != 0 {
                let _ = fs::set_permissions(&path, Permissions::from_mode(0o600));
            }
            Ok(path)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => Ok(path),
                // Another process has just created it: check what it is.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => prepare(&path),
                Err(e) => Err(format!("it cannot be made ({e})")),
            }
        }
        Err(e) => Err(format!("it cannot be examined ({e})")),
    }
}

/// A connection whose commits are on the disk when they return.
pub(super) fn connect(path: &Path, timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    // Another process may hold the lock for a moment. Half the time, so that our error comes before the caller's time-out.
    connection.busy_timeout(timeout / 2)?;
    switch_to_wal(&connection, timeout)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Switches the file to a write-ahead log. If another process is doing the same, SQLite does not wait for it as it does otherwise, but
/// reports at once that the file is busy.
#[expect(clippy::disallowed_methods, reason = "opening a file blocks, and runs on a thread for that")]
fn switch_to_wal(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < timeout => {
                thread::sleep(RETRY_AFTER);
                waited += RETRY_AFTER;
            }
            result => return result,
        }
    }
}

/// Checks the file for damage, unless it is large, and whether it can be written to.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), String> {
    let unusable = |e: rusqlite::Error| explain(path, &e);
    if fs::metadata(path).is_ok_and(|found| found.len() <= CHECKED_UP_TO) {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(unusable)?;
        if found != "ok" {
            return Err(damaged(&found));
        }
    }
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(unusable)
}

/// Why the file cannot be used, for the operator.
pub(super) fn explain(path: &Path, cause: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseCorrupt, NotADatabase, ReadOnly};
    match cause.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => damaged(&cause.to_string()),
        Some(ReadOnly | CannotOpen) => {
            format!("the file or its folder {} cannot be written to ({cause})", path.parent().unwrap_or(path).display())
        }
        Some(DatabaseBusy) => "another process holds its lock".to_owned(),
        _ => cause.to_string(),
    }
}

fn damaged(cause: &str) -> String {
    format!(
        "the file is damaged, or is not a database of hangup ({cause}); nothing was deleted: move it away, or put a backup in its place"
    )
}
