//! The name of this process among several: for records, logs and the status.

use std::sync::Arc;

/// The host's name and a random suffix, because two processes of one host must differ.
#[must_use]
pub fn name() -> Arc<str> {
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", host(), suffix.get(..6).unwrap_or_default()).into()
}

fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let name =
        std::env::var("HOSTNAME").ok().or_else(|| read("/proc/sys/kernel/hostname")).or_else(|| read("/etc/hostname"));
    let fits = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let name: String = name.unwrap_or_default().trim().chars().filter(fits).take(64).collect();
    if name.is_empty() { "hangup".to_owned() } else { name }
}
