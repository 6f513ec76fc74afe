//! Questions at a terminal.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use super::Failure;

/// Whether there is a person to ask.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// Asks, and gives what was typed.
pub(super) fn ask(question: &str) -> Result<String, Failure> {
    print!("{question}");
    let _ = io::stdout().flush();
    typed(&mut io::stdin().lock())
}

/// Goes on only after a yes.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if is_yes(&ask(&format!("{question} [y/N] "))?) {
        return Ok(());
    }
    Err(Failure::failed("nobody was disconnected"))
}

fn is_yes(typed: &str) -> bool {
    matches!(typed.to_ascii_lowercase().as_str(), "y" | "yes")
}

fn typed(input: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(|e| Failure::failed(format!("nobody was disconnected: {e}")))?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        for (text, yes) in [("y\n", true), ("YES \n", true), ("\n", false), ("", false), ("n\n", false), ("1\n", false)]
        {
            assert_eq!(is_yes(&typed(&mut text.as_bytes()).unwrap()), yes, "{text:?}");
        }
    }
}
