//! Files that the configuration names: read within bounds, and looked at for who else could change them.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config::Config;
use crate::config::value::trimmed;

/// A file larger than this is not read.
const MAX_SIZE: u64 = 4 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads one file of the configuration key `key`: a regular file, and no more than 4 MiB of it. A FIFO would have us wait for
/// ever, and `/dev/zero` has no end.
pub(crate) fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    read_regular(path).map_err(|error| {
        format!("{key} {}: cannot be read ({error}); check the path and its permissions", path.display())
    })
}

/// Reads a regular file of at most 4 MiB, without the byte order mark that some editors put before the text.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let other = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    // Without this flag, opening a FIFO waits for a writer.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return other("it is not a regular file");
    }
    let mut content = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_SIZE {
        return other("it is larger than 4 MiB");
    }
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}

/// Reads a secret that is alone in a file, without the blanks and line ends around it.
///
/// # Errors
/// What is wrong with the file; never its content.
pub(crate) fn read_secret(path: &Path) -> Result<SecretString, String> {
    let content = read_regular(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match trimmed(&text) {
        "" => Err("it is empty".to_owned()),
        secret => Ok(secret.into()),
    }
}

/// A file whose mode lets others do what they should not.
#[derive(Debug)]
pub(crate) struct LooseMode {
    /// Which file, and what others can do.
    pub(crate) finding: String,
    /// The command that ends it.
    pub(crate) remedy: String,
}

impl fmt::Display for LooseMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.finding, self.remedy)
    }
}

/// Says for each file with keys or secrets that the configuration names when its group, or any user, could change it. Shown at
/// start and by `check`.
#[must_use]
pub(crate) fn writable_by_others(config: &Config) -> Vec<LooseMode> {
    let files: [(&str, Option<&PathBuf>); 8] = [
        ("auth.keys_file", config.auth.keys_file.as_ref()),
        ("genesys.client_secret_file", config.genesys.client_secret_file.as_ref()),
        ("genesys.client_key", config.genesys.client_key.as_ref()),
        ("genesys.ca_file", config.genesys.ca_file.as_ref()),
        ("store.password_file", config.store.password_file.as_ref()),
        ("store.ca_file", config.store.ca_file.as_ref()),
        ("server.tls.key", config.server.tls.key.as_ref()),
        ("server.tls.client_ca", config.server.tls.client_ca.as_ref()),
    ];
    let finding = |(key, path): (&str, Option<&PathBuf>)| {
        let path = path?;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let path = path.display();
        (mode & 0o022 != 0).then(|| LooseMode {
            finding: format!("{key} {path}: others than its owner can change it (mode {:o})", mode & 0o777),
            remedy: format!("run `chmod go-w {path}`"),
        })
    };
    files.into_iter().filter_map(finding).collect()
}

/// Says for each audit file that is there already when others than its owner can read or change it: hangup makes it for its owner
/// alone, and leaves the mode of one that was there as it is. Shown at start and by `check`.
#[must_use]
pub(crate) fn open_to_others(config: &Config) -> Vec<LooseMode> {
    let finding = |path: &Path| {
        let found = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let mode = found.permissions().mode();
        let path = path.display();
        (mode & 0o077 != 0).then(|| LooseMode {
            finding: format!(
                "audit.target {path}: others than its owner can read or change it (mode {:o})",
                mode & 0o777
            ),
            remedy: format!("run `chmod go= {path}`, unless that is meant so"),
        })
    };
    config.audit.files().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read_and_nothing_else_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("good"), "keys").unwrap();
        assert_eq!(read("auth.keys_file", &path("good")).unwrap(), b"keys");
        std::fs::write(path("large"), vec![b'x'; 4 << 20]).unwrap();
        assert_eq!(read_regular(&path("large")).unwrap().len(), 4 << 20);
        std::fs::write(path("larger"), vec![b'x'; (4 << 20) + 1]).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(made.success());
        for (file, expected) in [
            (path("larger"), "larger than 4 MiB"),
            (path("fifo"), "not a regular file"),
            (PathBuf::from("/dev/zero"), "not a regular file"),
            (dir.path().to_owned(), "not a regular file"),
            (path("missing"), "No such file"),
        ] {
            let error = read("auth.keys_file", &file).unwrap_err();
            assert!(error.starts_with("auth.keys_file ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_a_final_newline_never_break_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "\u{feff}-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(read("server.tls.cert", &path).unwrap(), b"-----BEGIN CERTIFICATE-----\n");
        std::fs::write(&path, "\u{feff} secret \r\n").unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&read_secret(&path).unwrap()), "secret");
        std::fs::write(&path, "\u{feff}\n").unwrap();
        assert_eq!(read_secret(&path).unwrap_err(), "it is empty");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read_secret(&path).unwrap_err(), "it is not UTF-8 text");
    }

    #[test]
    fn an_audit_file_that_is_not_for_its_owner_alone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::defaults();
        let path = dir.path().join("audit.jsonl");
        config.audit.target.0 = vec!["store".to_owned(), path.display().to_string()];
        assert!(open_to_others(&config).is_empty(), "it is not there yet");
        for (mode, named) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
            std::fs::write(&path, "").or_else(|_| std::fs::metadata(&path).map(|_| ())).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let found = open_to_others(&config);
            assert_eq!(found.len(), usize::from(named), "{mode:o}: {found:?}");
            for found in found {
                let text = found.to_string();
                assert!(text.contains(&format!("mode {mode:o}")), "{text}");
                assert!(text.contains(&format!("`chmod go= {}`", path.display())), "the command as it is run: {text}");
            }
            let now = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(now & 0o777, mode, "only said, and left as it is");
        }
        config.audit.target.0 = vec!["/dev/null".to_owned()];
        assert!(open_to_others(&config).is_empty(), "a device holds no records");
    }

    #[test]
    fn files_that_others_can_change_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::defaults();
        let path = |name: &str| Some(dir.path().join(name));
        (config.auth.keys_file, config.genesys.client_secret_file) = (path("keys.toml"), path("secret"));
        let set = |name: &str, mode: u32| {
            std::fs::write(path(name).unwrap(), "x").unwrap();
            std::fs::set_permissions(path(name).unwrap(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set("keys.toml", 0o640);
        set("secret", 0o644);
        assert!(writable_by_others(&config).is_empty());
        set("keys.toml", 0o660);
        set("secret", 0o602);
        let found = writable_by_others(&config);
        let [keys, secret] = &found[..] else { panic!("{found:?}") };
        assert!(keys.finding.contains("auth.keys_file") && keys.finding.contains("mode 660"), "{keys}");
        assert!(secret.finding.contains("genesys.client_secret_file"), "{secret}");
        assert_eq!(secret.remedy, format!("run `chmod go-w {}`", path("secret").unwrap().display()));
    }
}
