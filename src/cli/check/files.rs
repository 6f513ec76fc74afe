//! The files that the configuration names.

use std::fs::OpenOptions;
use std::path::Path;

use super::report::{CheckLine, Report};
use crate::callers::{Callers, unlimited_keys};
use crate::config::Config;
use crate::files;
use crate::server::TlsSource;

pub(super) fn check(config: &Config, report: &mut Report) {
    let correct = "correct the file that is named";
    report.add(match (Callers::open(&config.auth), &config.auth.keys_file) {
        (Err(error), _) => CheckLine::fail("keys file", error.to_string(), correct),
        (Ok(callers), Some(_)) if callers.stats().keys == 0 => CheckLine::warn(
            "keys file",
            "valid, and without a key: no caller is admitted",
            "make one with `hangup key new NAME`",
        ),
        (Ok(callers), Some(path)) => {
            let found = format!("{}: {} keys", path.display(), callers.stats().keys);
            match unlimited_keys(&callers.keys()) {
                None => CheckLine::ok("keys file", found),
                Some(finding) => {
                    CheckLine::warn("keys file", format!("{found}; {finding}"), "give each key a rate and an end")
                }
            }
        }
        (Ok(_), None) => CheckLine::skipped("keys file", "auth.keys_file is not set"),
    });
    let what = "file permissions";
    let findings = files::writable_by_others(config);
    match findings.is_empty() {
        true => report.add(CheckLine::ok(what, "only their owners can change keys and secrets")),
        false => findings.into_iter().for_each(|file| report.add(CheckLine::warn(what, file.finding, file.remedy))),
    }
    report.add(match TlsSource::open(&config.server.tls) {
        Err(error) => CheckLine::fail("TLS files", error.to_string(), correct),
        Ok(Some(_)) => CheckLine::ok("TLS files", "certificate and key belong together"),
        Ok(None) => CheckLine::skipped("TLS files", "server.tls is not set: callers are served without TLS"),
    });
    for file in files::open_to_others(config) {
        report.add(CheckLine::warn("audit file", file.finding, file.remedy));
    }
    let mut files = config.audit.files().peekable();
    if files.peek().is_none() {
        report
            .add(CheckLine::skipped("audit file", format!("audit.target is \"{}\"", config.audit.target.0.join(", "))));
    }
    for path in files {
        report.add(match writable(path) {
            Ok(()) => CheckLine::ok("audit file", format!("{} can be written", path.display())),
            Err(cause) => {
                let text = format!("{} cannot be written ({cause})", path.display());
                CheckLine::fail("audit file", text, "give its directory to the user that runs the service")
            }
        });
    }
}

/// Whether a file can be appended to, or could be made, without making it.
fn writable(path: &Path) -> Result<(), String> {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let metadata = std::fs::metadata(parent).map_err(|e| format!("its directory: {e}"))?;
            if !metadata.is_dir() || metadata.permissions().readonly() {
                return Err("its directory is read-only".to_owned());
            }
            Ok(())
        }
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_remedy_for_a_loose_mode_is_the_command_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, audit) = (dir.path().join("secret"), dir.path().join("audit.jsonl"));
        for file in [&secret, &audit] {
            std::fs::write(file, "x").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
        }
        let mut config = Config::defaults();
        config.genesys.client_secret_file = Some(secret.clone());
        config.audit.target.0 = vec![audit.display().to_string()];
        let mut report = Report::default();
        check(&config, &mut report);
        let lines = serde_json::to_value(report.items()).unwrap();
        let remedies: Vec<&str> = lines.as_array().unwrap().iter().filter_map(|line| line["remedy"].as_str()).collect();
        let expected = [
            format!("run `chmod go-w {}`", secret.display()),
            format!("run `chmod go= {}`, unless that is meant so", audit.display()),
        ];
        assert_eq!(remedies, expected);
    }
}
