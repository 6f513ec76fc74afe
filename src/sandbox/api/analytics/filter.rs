//! Filters of queries. A filter holds predicates and clauses of predicates, joined by `and` or `or`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::sandbox::answer::Problem;

/// A filter. All queries have filters of this form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Filter {
    #[serde(rename = "type")]
    join: Join,
    clauses: Vec<Clause>,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Clause {
    #[serde(rename = "type")]
    join: Join,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Join {
    #[default]
    And,
    Or,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Predicate {
    #[serde(rename = "type")]
    kind: Option<String>,
    dimension: Option<String>,
    operator: MatchOperator,
    value: Option<String>,
    range: Option<Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum MatchOperator {
    #[default]
    Matches,
    Exists,
    NotExists,
}

impl Join {
    fn all(self, mut results: impl Iterator<Item = bool>) -> bool {
        match self {
            Self::And => results.all(|result| result),
            Self::Or => results.any(|result| result),
        }
    }
}

impl Filter {
    /// Refuses filters that the sandbox cannot evaluate, because it must never answer as if there were no filter.
    pub(super) fn check(&self, dimensions: &[&str]) -> Result<(), Problem> {
        let within = self.clauses.iter().flat_map(|clause| &clause.predicates);
        for predicate in self.predicates.iter().chain(within) {
            let dimension = predicate.dimension.as_deref().unwrap_or_default();
            let kind = predicate.kind.as_deref().unwrap_or("dimension");
            if kind != "dimension" || predicate.range.is_some() || !dimensions.contains(&dimension) {
                return Err(Problem::bad_request(format!(
                    "The sandbox filters by these dimensions here: {}",
                    dimensions.join(", ")
                )));
            }
            if predicate.operator == MatchOperator::Matches && predicate.value.is_none() {
                return Err(Problem::bad_request(format!("The value of the dimension {dimension} is missing.")));
            }
        }
        Ok(())
    }

    /// Whether it matches something whose dimensions `look` returns.
    pub(super) fn holds<'a>(&self, look: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        let clauses =
            self.clauses.iter().map(|clause| clause.join.all(clause.predicates.iter().map(|p| p.holds(look))));
        if self.clauses.is_empty() && self.predicates.is_empty() {
            return true;
        }
        self.join.all(self.predicates.iter().map(|p| p.holds(look)).chain(clauses))
    }
}

impl Predicate {
    fn holds<'a>(&self, look: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        let found = look(self.dimension.as_deref().unwrap_or_default());
        match self.operator {
            MatchOperator::Exists => found.is_some(),
            MatchOperator::NotExists => found.is_none(),
            MatchOperator::Matches => found.as_deref() == self.value.as_deref(),
        }
    }
}
