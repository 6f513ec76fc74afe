//! Queries are read strictly: a misspelt or repeated name must never change what is done.

use std::borrow::Cow;

use http::request::Parts;

use crate::problem::{Code, Problem};

/// Gives each parameter to `take`. Names other than the `known` ones, and repeated ones, are refused.
pub(in crate::http) fn query(
    parts: &Parts,
    known: &[&str],
    mut take: impl FnMut(&str, &str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        if !known.contains(&&*name) {
            let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(refused(format!("unknown query parameter \"{}\"; known here: {names}", shown(&name))));
        }
        if seen.contains(&name) {
            return Err(refused(format!("the query parameter {name} is there more than once; give it once")));
        }
        take(&name, &value)?;
        seen.push(name);
    }
    Ok(())
}

fn refused(detail: String) -> Problem {
    Problem::new(Code::InvalidQuery, detail)
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
