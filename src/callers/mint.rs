//! `hangup key new NAME`: makes a key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;

use super::digest::Digest;
use super::keys::check_name;

/// A key that was just made. Shown once; only its digest is kept.
pub struct NewKey {
    /// What the caller sends: `hk_` and 256 random bits.
    pub text: String,
    /// The table for the keys file.
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
/// A name that a key cannot have, or a system without random numbers; the text says what to do.
pub fn new_key(name: &str) -> Result<NewKey, String> {
    check_name(name)?;
    let mut secret = [0; 32];
    SysRng.try_fill_bytes(&mut secret).map_err(|error| format!("the system gives no random numbers ({error})"))?;
    let text = format!("hk_{}", URL_SAFE_NO_PAD.encode(secret));
    let digest = Digest::of(text.as_bytes());
    let toml = format!("[[key]]\nname = \"{name}\"\nsha256 = \"{digest}\"\npermissions = [\"disconnect\", \"read\"]\n");
    Ok(NewKey { text, toml })
}
