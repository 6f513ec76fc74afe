//! Queries are read strictly: a misspelt or repeated name must never change what is done.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::Uri;
use http::request::Parts;

use super::super::refused::Refused;
use crate::problem::{Code, Problem};

/// The query of a request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Query(Uri);

impl Query {
    /// The query as it was sent; empty where there is none.
    pub(in crate::http) fn text(&self) -> &str {
        self.0.query().unwrap_or_default()
    }

    /// Gives each parameter to `take`.
    ///
    /// # Errors
    /// `invalid_query`: a name other than the `known` ones, or a repeated one; and what `take` refuses.
    pub(in crate::http) fn read(
        &self,
        known: &[&str],
        take: impl FnMut(&str, &str) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        read(self.text(), known, take)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.uri.clone()))
    }
}

/// There are no parameters here, and any is refused.
#[derive(Debug)]
pub(in crate::http) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        read(parts.uri.query().unwrap_or_default(), &[], |_, _| Ok(()))?;
        Ok(Self)
    }
}

pub(super) fn read(
    query: &str,
    known: &[&str],
    mut take: impl FnMut(&str, &str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(&&*name) {
            let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(refused(format!("unknown query parameter \"{}\"; known here: {names}", shown(&name))));
        }
        if seen.contains(&name) {
            return Err(refused(format!("the query parameter {name} was given more than once; give it once")));
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
