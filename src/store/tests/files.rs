//! The database in a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::audit::record;
use super::*;

async fn refused(path: &std::path::Path) -> String {
    let error = Store::open(&settings(&format!("sqlite:{}", path.display()))).await.unwrap_err();
    assert!(error.starts_with(&format!("store.url = \"sqlite:{}\": ", path.display())), "{error}");
    assert!(error.contains("or use \"memory\""), "{error}");
    error
}

#[tokio::test]
async fn the_file_and_what_sqlite_keeps_beside_it_are_for_their_owner_alone() {
    let place = TestDatabase::file();
    let store = place.open().await;
    store.claim(&new("k", "t")).await.unwrap();
    let folder = place.folder.as_ref().unwrap().path().join("state");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
    assert!(files.len() > 1);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_symbolic_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("hangup.db"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    assert!(refused(&link).await.contains("is a symbolic link"));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[tokio::test]
async fn a_file_that_is_damaged_or_not_a_database_is_reported_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hangup.db");
    fs::write(&path, "this is somebody's shopping list, and it is longer than a header".repeat(99)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(refused(&path).await.contains("nothing was deleted"));
    assert_eq!(fs::read(&path).unwrap(), before);

    let place = TestDatabase::file();
    let store = place.open().await;
    store.append_audit((0..2000).map(record).collect()).await.unwrap();
    let path = place.folder.as_ref().unwrap().path().join("state/hangup.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xA5);
    let damaged = folder.path().join("damaged.db");
    fs::write(&damaged, &bytes).unwrap();
    assert!(refused(&damaged).await.contains("is damaged"));
    assert_eq!(fs::read(&damaged).unwrap(), bytes);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refused(&file.join("hangup.db")).await.contains("cannot be made"));
    assert!(refused(folder.path()).await.contains("is not a regular file"));
}

#[test]
fn the_default_file_is_where_systemd_or_the_user_keeps_such_things() {
    let path = |set: &[(&str, &str)]| {
        let find = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        sqlite::default_path(find).map(|path| path.display().to_string())
    };
    let all = [("STATE_DIRECTORY", "/var/lib/hangup:/x"), ("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/u")];
    assert_eq!(path(&all).as_deref(), Some("/var/lib/hangup/hangup.db"));
    assert_eq!(path(&all[1..]).as_deref(), Some("/xdg/hangup/hangup.db"));
    assert_eq!(path(&all[2..]).as_deref(), Some("/home/u/.local/state/hangup/hangup.db"));
    assert_eq!(path(&[("HOME", "")]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_holds_the_lock_for_long_is_reported_and_the_next_call_succeeds() {
    let mut place = TestDatabase::file();
    place.settings.timeout = Duration::from_millis(200);
    let store = place.open().await;
    let path = place.folder.as_ref().unwrap().path().join("state/hangup.db");
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // A busy machine may delay one answer, but not each of three.
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begun = tokio::time::Instant::now();
        assert!(matches!(store.claim(&new("k", "t")).await, Err(StoreError::OutOfReach(_) | StoreError::TimedOut)));
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.claim(&new("k", "t")).await.unwrap().token, "t");
}
