//! The audit file: appended to, rotated by size, never left with half a line.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Record;
use super::sink::{Sink, lines};

/// Only the owner may read who disconnected whom.
const MODE: u32 = 0o600;

/// A file at a path. Symbolic links are not followed: with one, anyone who can write to the folder could redirect the records.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    max_size: u64,
    keep: usize,
    open: Option<OpenFile>,
    rotation_trouble: Option<String>,
}

#[derive(Debug)]
struct OpenFile {
    file: fs::File,
    len: u64,
    /// Devices and pipes are not rotated.
    regular: bool,
    /// The file ends with half a line that could not be removed.
    torn: bool,
}

impl File {
    /// The file is opened when it is first used.
    pub(super) fn new(path: PathBuf, max_size: u64, keep: usize) -> Self {
        Self { path, max_size, keep, open: None, rotation_trouble: None }
    }

    /// Appends all of these lines, or none. After a failure, the next call opens the path again.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let (max_size, size) = (self.max_size, lines.len() as u64);
        let open = self.open()?;
        if open.regular && open.len > 0 && open.len.saturating_add(size) > max_size {
            self.rotate();
        }
        let open = self.open()?;
        let written = if open.torn { open.file.write_all(b"\n") } else { Ok(()) };
        if let Err(error) = written.and_then(|()| open.file.write_all(lines)) {
            // Removes what was written of them, so that no reader finds half a line.
            open.torn = open.file.set_len(open.len).is_err();
            if !open.torn || !open.regular {
                self.open = None;
            }
            return Err(error);
        }
        open.len += size + u64::from(open.torn);
        open.torn = false;
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut OpenFile> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = open(&self.path)?;
                let metadata = file.metadata()?;
                OpenFile { file, len: metadata.len(), regular: metadata.is_file(), torn: false }
            }
        };
        Ok(self.open.insert(open))
    }

    /// `audit` → `audit.1` → … → `audit.keep`; the oldest is lost. If that fails, the same file keeps growing.
    fn rotate(&mut self) {
        let synced = Sink::sync(self);
        for age in (1..self.keep).rev() {
            let moved = fs::rename(aged(&self.path, age), aged(&self.path, age + 1));
            if let Err(error) = moved
                && error.kind() != io::ErrorKind::NotFound
            {
                self.rotation_trouble = Some(format!("rotating the audit file: {error}"));
            }
        }
        match fs::rename(&self.path, aged(&self.path, 1)).and(synced) {
            Ok(()) => self.open = None,
            Err(error) => {
                self.rotation_trouble = Some(format!("rotating the audit file: {error}"));
                // Another program has moved it: open a new one.
                if error.kind() == io::ErrorKind::NotFound {
                    self.open = None;
                }
            }
        }
    }
}

impl Sink for File {
    fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()> {
        self.append(lines(records).as_bytes())
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.open {
            Some(open) if open.regular => open.file.sync_data(),
            _ => Ok(()),
        }
    }

    fn reopens(&self) -> bool {
        true
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.open().map(|_| ())
    }

    fn trouble(&mut self) -> Option<String> {
        self.rotation_trouble.take()
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    let opened = OpenOptions::new().create(true).append(true).mode(MODE).custom_flags(libc::O_NOFOLLOW).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => {
            io::Error::other(format!("{} is a symbolic link; name the file itself, or \"stdout\"", path.display()))
        }
        _ => error,
    })
}

/// The name of the file that is `age` rotations old.
pub(super) fn aged(path: &Path, age: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{age}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Vec<u8> {
        format!("{n:09}\n").into_bytes()
    }

    #[test]
    fn the_file_is_rotated_by_size_and_only_so_many_old_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let mut file = File::new(path.clone(), 25, 2);
        for n in 0..9 {
            file.append(&line(n)).unwrap();
            assert_eq!(file.trouble(), None);
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "000000008\n");
        assert_eq!(read(&aged(&path, 1)), "000000006\n000000007\n");
        assert_eq!(read(&aged(&path, 2)), "000000004\n000000005\n");
        assert!(!aged(&path, 3).exists());
    }

    #[test]
    fn a_file_of_an_earlier_process_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        File::new(path.clone(), 25, 1).append(&line(1)).unwrap();
        let mut file = File::new(path.clone(), 25, 1);
        file.append(&line(2)).unwrap();
        file.append(&line(3)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "000000003\n");
        assert_eq!(fs::read_to_string(aged(&path, 1)).unwrap(), "000000001\n000000002\n");
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_next_line_is_tried_again() {
        let mut file = File::new("/dev/full".into(), 1 << 20, 1);
        for n in 0..3 {
            let error = file.append(&line(n)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn no_symbolic_link_is_followed_and_a_new_file_is_for_its_owner_alone() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("audit.jsonl"), dir.path().join("link"));
        File::new(path.clone(), 1 << 20, 1).append(&line(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for target in ["audit.jsonl", "nowhere"] {
            symlink(target, &link).unwrap();
            let error = File::new(link.clone(), 1 << 20, 1).append(&line(2)).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{error}");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "000000001\n");
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_directory_that_comes_back_is_written_to_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs").join("audit.jsonl");
        let mut file = File::new(path.clone(), 1 << 20, 1);
        assert!(file.append(&line(1)).is_err());
        fs::create_dir(path.parent().unwrap()).unwrap();
        file.append(&line(2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "000000002\n");
    }
}
