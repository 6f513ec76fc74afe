//! Pages of a list, in the upstream's form.

use serde_json::{Value, json};

use super::answer::Problem;
use super::render::object;

/// Largest page; a larger size is reduced to it.
const LARGEST: usize = 100;

/// The page that a request asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) size: usize,
    pub(crate) number: usize,
}

impl Page {
    /// Reads `pageSize` (25 unless given) and `pageNumber` of a query; other parameters are ignored.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, Problem> {
        let (mut size, mut number) = (25_usize, 1_usize);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let target = match &*name {
                "pageSize" => &mut size,
                "pageNumber" => &mut number,
                _ => continue,
            };
            let value = value.parse().ok().filter(|n| (1..=100_000).contains(n));
            *target = value.ok_or_else(|| Problem::bad_request(format!("{name} must be a number from 1 on")))?;
        }
        Ok(Self { size: size.min(LARGEST), number })
    }

    /// How many entities come before it.
    pub(crate) fn skipped(self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The page as an entity listing.
    pub(crate) fn listing(self, all: Vec<Value>, path: &str) -> Value {
        let (total, pages) = (all.len(), all.len().div_ceil(self.size));
        let entities: Vec<Value> = all.into_iter().skip(self.skipped()).take(self.size).collect();
        let uri = |n: usize| format!("{path}?pageSize={}&pageNumber={n}", self.size);
        object(json!({
            "entities": entities, "pageSize": self.size, "pageNumber": self.number, "total": total, "pageCount": pages,
            "selfUri": uri(self.number), "firstUri": uri(1), "lastUri": uri(pages.max(1)),
            "nextUri": (self.number < pages).then(|| uri(self.number + 1)),
            "previousUri": (self.number > 1).then(|| uri(self.number - 1)),
        }))
    }
}
