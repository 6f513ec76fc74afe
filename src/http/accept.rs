//! `Accept`: the one place that reads which form of an answer a caller wants (RFC 9110, 12.5.1).

use http::{HeaderMap, HeaderValue, header};

/// How much a caller wants a type, from 0 (not at all) to 1.
type Quality = f32;

/// What a caller accepts, in the order in which it says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Accept(Vec<Range>);

#[derive(Debug, Clone, PartialEq)]
struct Range {
    /// Such as `text/csv`, `text/*` or `*/*`, in lower case.
    kind: String,
    quality: Quality,
}

impl Range {
    fn read(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let named = |part: &str| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok()).flatten()
        };
        // An invalid quality is ignored.
        let quality = parts.find_map(named).filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(1.0);
        Self { kind, quality }
    }

    /// How specifically this range matches the type: 2 by its name, 1 as `text/*`, 0 as `*/*`; `None` if it does not match.
    fn closeness(&self, kind: &str) -> Option<u8> {
        let half = || Some(self.kind.strip_suffix("/*")? == kind.split_once('/')?.0);
        match self.kind.as_str() {
            named if named == kind => Some(2),
            "*/*" => Some(0),
            _ if half() == Some(true) => Some(1),
            _ => None,
        }
    }
}

impl Accept {
    /// What the headers of a request say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        Self(values.flat_map(|value| value.split(',')).map(Range::read).collect())
    }

    /// The range that matches a type most specifically, with how specific it is and its position.
    fn range(&self, kind: &str) -> Option<(Quality, u8, usize)> {
        let ranges = self.0.iter().enumerate();
        let near = ranges.filter_map(|(place, range)| Some((range.quality, range.closeness(kind)?, place)));
        near.max_by_key(|(_, closeness, place)| (*closeness, std::cmp::Reverse(*place)))
    }

    /// Whether a type is accepted. Without `Accept` none is, because nothing is known of the caller.
    pub(super) fn admits(&self, kind: &str) -> bool {
        self.range(kind).is_some_and(|(quality, ..)| quality > 0.0)
    }
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A page of JSON.
    Page,
    /// All of it, an object of JSON on each line.
    Lines,
    /// All of it, as a table.
    Csv,
}

/// The types that ask for each form.
const FORMS: [(&str, Form); 5] = [
    ("application/json", Form::Page),
    ("application/x-ndjson", Form::Lines),
    ("application/ndjson", Form::Lines),
    ("application/jsonl", Form::Lines),
    ("text/csv", Form::Csv),
];

impl Form {
    /// The preferred form: by quality, then by how specifically it is named, then by order. If none is accepted, a page: an
    /// answer in another form is more useful than a refusal.
    pub(super) fn wanted(accept: &Accept) -> Self {
        let admitted = FORMS.iter().filter_map(|(kind, form)| {
            let (quality, closeness, place) = accept.range(kind).filter(|(quality, ..)| *quality > 0.0)?;
            Some(((quality, closeness, std::cmp::Reverse(place)), *form))
        });
        // The first of equals: `*/*` means a page.
        admitted
            .reduce(
                |best, other| {
                    if other.0.partial_cmp(&best.0) == Some(std::cmp::Ordering::Greater) { other } else { best }
                },
            )
            .map_or(Self::Page, |(_, form)| form)
    }

    /// Its `Content-Type`.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Page => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&str]) -> Accept {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Accept::of(&headers)
    }

    #[test]
    fn a_type_is_admitted_by_the_range_that_names_it_most_closely() {
        const PROBLEM: &str = "application/problem+json";
        for yes in [
            "*/*",
            "application/json, text/plain, */*",
            PROBLEM,
            "text/html, Application/*;q=0.5",
            "*/*;q=0, application/problem+json;q=0.1",
        ] {
            assert!(accept(&[yes]).admits(PROBLEM), "{yes}");
        }
        for no in [
            &[][..],
            &["application/json"],
            &["text/html"],
            &["application/json, */*;q=0"],
            &["*/*, application/problem+json;q=0"],
            &["*/*", "application/*; Q=0.0"],
        ] {
            assert!(!accept(no).admits(PROBLEM), "{no:?}");
        }
    }

    #[test]
    fn the_form_with_the_highest_quality_is_sent() {
        for (values, form) in [
            (&[][..], Form::Page),
            (&["*/*"], Form::Page),
            (&["application/*"], Form::Page),
            (&["text/html, */*;q=0.8"], Form::Page),
            (&["image/png"], Form::Page),
            (&["text/csv"], Form::Csv),
            (&["Text/CSV; header=present"], Form::Csv),
            (&["text/*"], Form::Csv),
            (&["application/x-ndjson"], Form::Lines),
            (&["application/ndjson"], Form::Lines),
            (&["application/jsonl"], Form::Lines),
            (&["application/json;q=0.5, text/csv"], Form::Csv),
            (&["text/csv;q=0.5, application/json"], Form::Page),
            (&["text/csv;q=0.2", "application/x-ndjson;q=0.9", "*/*;q=0.1"], Form::Lines),
            (&["text/csv, application/json"], Form::Csv),
            (&["application/json, text/csv"], Form::Page),
            (&["*/*, text/csv"], Form::Csv),
            (&["text/csv;q=0, application/x-ndjson;q=0"], Form::Page),
            (&["text/csv;q=0, */*"], Form::Page),
            (&["application/json;q=0, */*;q=0.5"], Form::Lines),
            (&["text/csv;q=nonsense"], Form::Csv),
            (&["text/csv;q=NaN, application/json;q=2"], Form::Csv),
        ] {
            assert_eq!(Form::wanted(&accept(values)), form, "{values:?}");
        }
    }
}
