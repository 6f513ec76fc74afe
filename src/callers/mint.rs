//! `hangup key new NAME`: makes a key. A key ends in a checksum, so that typos are recognised and scanners for leaked
//! secrets have no false alarms.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;

use super::keys::check_name;
use crate::digest::Digest;

const PREFIX: &str = "hk_";
/// Length of 256 random bits as base64url.
const SECRET: usize = 43;
/// Bytes of the checksum (the SHA-256 of what precedes it), and their length as base64url.
const CHECK_BYTES: usize = 6;
const CHECK: usize = 8;

/// A key that was just made. Shown once; only its digest is kept.
pub struct NewKey {
    /// What the caller sends: `hk_`, 256 random bits and a checksum.
    pub text: String,
    /// Its record for the keys file.
    pub toml: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NewKey").field("toml", &self.toml).finish_non_exhaustive()
    }
}

/// Makes a key of this name with the system's random numbers.
///
/// # Errors
/// A name that a key cannot have, or a failure of the system's random numbers; the text says what to do.
pub fn new_key(name: &str) -> Result<NewKey, String> {
    check_name(name)?;
    let mut secret = [0; 32];
    SysRng.try_fill_bytes(&mut secret).map_err(|error| format!("the system gives no random numbers ({error})"))?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let text = format!("{secret}{}", checksum(&secret));
    let digest = Digest::of(text.as_bytes());
    let toml = format!("[[key]]\nname = \"{name}\"\nsha256 = \"{digest}\"\npermissions = [\"disconnect\", \"read\"]\n");
    Ok(NewKey { text, toml })
}

/// Whether an unknown key is one of ours that was mistyped or cut off. Not known for keys of the first version, which
/// have no checksum.
pub(super) fn is_mistyped(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX).filter(|rest| rest.len() > SECRET) else { return false };
    let cut = rest.is_char_boundary(SECRET).then(|| key.split_at(PREFIX.len() + SECRET));
    cut.is_none_or(|(secret, check)| check != checksum(secret))
}

fn checksum(secret: &str) -> String {
    let digest = Digest::of(secret.as_bytes());
    let text = URL_SAFE_NO_PAD.encode(&digest.bytes()[..CHECK_BYTES]);
    debug_assert_eq!(text.len(), CHECK);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_256_random_bits_and_a_checksum_that_finds_every_single_typo() {
        let key = new_key("ivr").unwrap().text;
        assert_eq!(key.len(), PREFIX.len() + SECRET + CHECK);
        assert_ne!(key, new_key("ivr").unwrap().text);
        assert!(!is_mistyped(&key));
        for at in PREFIX.len()..key.len() {
            let other = if &key[at..=at] == "A" { "B" } else { "A" };
            let typo = format!("{}{other}{}", &key[..at], &key[at + 1..]);
            assert!(is_mistyped(&typo), "{at}");
        }
        assert!(is_mistyped(&key[..key.len() - 1]) && is_mistyped(&format!("{key}x")));
    }

    #[test]
    fn nothing_is_said_of_older_keys_and_of_other_words() {
        let older = &new_key("ivr").unwrap().text[..PREFIX.len() + SECRET];
        for key in [older, "hk_wrong", "secret", "", "hk_é"] {
            assert!(!is_mistyped(key), "{key}");
        }
        assert!(is_mistyped(&format!("hk_{}é", "a".repeat(42))));
    }
}
