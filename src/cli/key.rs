//! `hangup key new NAME`.

use super::Failure;
use crate::callers::new_key;

/// Makes a key: the key itself once, for the caller, and the block for the keys file.
pub(super) fn new(name: &str) -> Result<(), Failure> {
    let made = new_key(name).map_err(Failure::unusable)?;
    // On two streams, so that `hangup key new NAME >>keys.toml` appends the block and shows the key once.
    eprintln!(
        "Give this key to \"{name}\"; it is shown only here:\n\n    {}\n\nAdd this to the keys file (auth.keys_file):\n",
        made.text
    );
    print!("{}", made.toml);
    Ok(())
}
