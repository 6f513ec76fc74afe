//! Digests of what callers send, where only equality matters.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
