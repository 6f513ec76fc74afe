//! What a body asks for beyond the disconnect itself. Every member is optional, and `""` and `null` mean absent: that is how
//! unset variables of IVR scripts arrive.

use axum::extract::{FromRequest, Request as HttpRequest};
use serde_json::{Map, Value};

use super::super::AppState;
use super::super::refused::Refused;
use super::body::{invalid_body, members_of};
use crate::disconnect::{Origin, Request, Wrapup};
use crate::ids::{ConversationId, ParticipantId};
use crate::jobs::Plan;
use crate::medium::Medium;
use crate::problem::{Code, Problem};

/// Longest reason or cause that is passed on, in bytes.
const LONGEST_REASON: usize = 1024;

/// Options of the query that callers put into the body by mistake.
const OPTIONS: [(&str, &str); 3] = [
    ("dryrun", "dryRun does not go in the body: send it in the query, ?dryRun=true"),
    ("wait", "wait does not go in the body: send it in the query, ?wait=5, or as the header Prefer: wait=5"),
    ("async", "async does not go in the body: it is an option of the query, ?async=true"),
];

/// The body of a disconnect.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct DisconnectBody {
    reason: Option<String>,
    cause: Option<String>,
    media: Option<Medium>,
    wrapup: Option<Wrapup>,
    wrapup_skipped: Option<bool>,
}

impl DisconnectBody {
    /// Reads the body of a disconnect. Unknown members are ignored, unless they are options.
    pub(in crate::http) fn read(members: &Map<String, Value>) -> Result<Self, Problem> {
        refuse_options(members)?;
        let (wrapup, wrapup_skipped) = wrapup_of(members)?;
        Ok(Self {
            reason: reason(members, "reason")?,
            cause: reason(members, "cause")?,
            media: media(members)?,
            wrapup,
            wrapup_skipped,
        })
    }

    /// Reads the body of the published PATCH: `{"state":"disconnected"}`, a wrap-up if there is one, and nothing else. SDKs
    /// send the members that are not set as null.
    pub(in crate::http) fn of_patch(members: &Map<String, Value>, media: Option<Medium>) -> Result<Self, Problem> {
        let disconnects =
            |value: &Value| value.as_str().is_some_and(|state| state.eq_ignore_ascii_case("disconnected"));
        let known = |name: &str| matches!(name, "state" | "wrapup" | "wrapupSkipped");
        let other = members.iter().any(|(name, value)| !known(name) && !value.is_null());
        if other || !members.get("state").is_some_and(disconnects) {
            return Err(invalid_body(
                "only {\"state\":\"disconnected\"} is accepted here, with wrapup or wrapupSkipped if you like; everything else must go to \
                 Genesys Cloud itself",
            ));
        }
        let (wrapup, wrapup_skipped) = wrapup_of(members)?;
        Ok(Self { media, wrapup, wrapup_skipped, ..Self::default() })
    }

    /// A whole conversation has no wrap-up.
    pub(in crate::http) fn state_alone(&self) -> Result<(), Problem> {
        if self.wrapup.is_none() && self.wrapup_skipped.is_none() {
            return Ok(());
        }
        Err(invalid_body("a conversation takes no wrap-up; disconnect the participant who owes it"))
    }

    /// The same as the plan of a job.
    pub(in crate::http) fn plan(self) -> Plan {
        let Self { reason, cause, media, wrapup, wrapup_skipped } = self;
        Plan { reason, cause, media, wrapup, wrapup_skipped, ..Plan::default() }
    }

    /// The reason alone, for a job.
    ///
    /// # Errors
    /// `invalid_body` when it is not a short string.
    pub(in crate::http) fn reason(members: &Map<String, Value>) -> Result<Option<String>, Problem> {
        reason(members, "reason")
    }

    /// The wrap-up alone, and whether it is skipped, for a job.
    ///
    /// # Errors
    /// `invalid_body` when they are wrong, or contradict each other.
    pub(in crate::http) fn wrapup(members: &Map<String, Value>) -> Result<(Option<Wrapup>, Option<bool>), Problem> {
        wrapup_of(members)
    }

    /// The request for this participant.
    pub(in crate::http) fn request(
        self,
        origin: Origin,
        conversation: ConversationId,
        participant: ParticipantId,
    ) -> Request {
        let Self { reason, cause, media, wrapup, wrapup_skipped } = self;
        Request { reason, cause, media, wrapup, wrapup_skipped, ..Request::new(origin, conversation, participant) }
    }
}

impl FromRequest<AppState> for DisconnectBody {
    type Rejection = Refused;

    async fn from_request(request: HttpRequest, app: &AppState) -> Result<Self, Refused> {
        Ok(Self::read(&members_of(request, app, Code::InvalidBody).await?)?)
    }
}

/// A member that says something.
fn given<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !is_absent(value))
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Options would be ignored in the body, and a dry run would disconnect: they are refused, however they are written.
fn refuse_options(members: &Map<String, Value>) -> Result<(), Problem> {
    let given = members.iter().filter(|(_, value)| !is_absent(value));
    let mut plain = given.map(|(name, _)| name.replace(['_', '-'], "").to_ascii_lowercase());
    match plain.find_map(|name| OPTIONS.iter().find(|(option, _)| *option == name)) {
        Some((_, detail)) => Err(invalid_body(format!("{detail}; nobody was disconnected"))),
        None => Ok(()),
    }
}

fn reason(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match given(members, name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() > LONGEST_REASON => {
            Err(invalid_body(format!("{name} may have at most {LONGEST_REASON} bytes")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid_body(format!("{name} must be a string; send one, or leave it out"))),
    }
}

fn media(members: &Map<String, Value>) -> Result<Option<Medium>, Problem> {
    let Some(value) = given(members, "media") else { return Ok(None) };
    let word = value.as_str().unwrap_or_default().trim();
    Medium::from_word_of_lists(word).map(Some).ok_or_else(|| {
        let words = Medium::words();
        invalid_body(format!(
            "media must be one word of: {words}, screenMonitoring; leave it out to end the whole participant"
        ))
    })
}

/// The wrap-up, and whether it is skipped.
fn wrapup_of(members: &Map<String, Value>) -> Result<(Option<Wrapup>, Option<bool>), Problem> {
    let wrapup = match given(members, "wrapup") {
        None => None,
        Some(Value::Object(wrapup)) => read_wrapup(wrapup)?,
        // A form has texts only.
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(wrapup)) => read_wrapup(&wrapup)?,
            _ => return Err(wrong_wrapup()),
        },
        Some(_) => return Err(wrong_wrapup()),
    };
    let skipped = match given(members, "wrapupSkipped") {
        None => false,
        Some(Value::Bool(skipped)) => *skipped,
        Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("true") => true,
        Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(invalid_body("wrapupSkipped must be true or false; send one, or leave it out")),
    };
    if skipped && wrapup.is_some() {
        return Err(invalid_body("a wrap-up cannot be both given and skipped; send wrapup or wrapupSkipped"));
    }
    // Not skipping is what happens anyway.
    Ok((wrapup, skipped.then_some(true)))
}

fn read_wrapup(wrapup: &Map<String, Value>) -> Result<Option<Wrapup>, Problem> {
    let text = |name: &str| match given(wrapup, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_wrapup()),
    };
    if wrapup.iter().any(|(name, value)| !matches!(name.as_str(), "code" | "notes") && !value.is_null()) {
        return Err(wrong_wrapup());
    }
    match (text("code")?, text("notes")?) {
        (Some(code), notes) => Ok(Some(Wrapup { code, notes })),
        // The variable it comes from is not set.
        (None, None) if wrapup.contains_key("code") => Ok(None),
        (None, _) => Err(wrong_wrapup()),
    }
}

fn wrong_wrapup() -> Problem {
    invalid_body(
        "wrapup must be an object with the id of a wrap-up code, and notes if you like: {\"code\":\"…\",\"notes\":\"…\"}",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<DisconnectBody, Problem> {
        let Value::Object(members) = body else { panic!("no object") };
        DisconnectBody::read(&members)
    }

    fn wrapup(code: &str, notes: Option<&str>) -> Option<Wrapup> {
        Some(Wrapup { code: code.to_owned(), notes: notes.map(str::to_owned) })
    }

    #[test]
    fn empty_and_null_members_are_absent_whatever_they_are() {
        for body in [
            json!({}),
            json!({"other": 1}),
            json!({"reason": null, "cause": "", "media": " ", "wrapup": "", "wrapupSkipped": ""}),
            json!({"media": null, "wrapup": {"code": "", "notes": ""}, "wrapupSkipped": null}),
            json!({"wrapupSkipped": "false", "wait": "", "dryRun": null}),
        ] {
            assert_eq!(read(body.clone()).unwrap(), DisconnectBody::default(), "{body}");
        }
    }

    #[test]
    fn what_is_given_is_taken() {
        let all = read(
            json!({"reason": "r", "cause": "c", "media": "Call", "wrapup": {"code": "7", "notes": "n", "name": null}}),
        );
        let expected = DisconnectBody {
            reason: Some("r".into()),
            cause: Some("c".into()),
            media: Some(Medium::Calls),
            wrapup: wrapup("7", Some("n")),
            wrapup_skipped: None,
        };
        assert_eq!(all.unwrap(), expected);
        assert_eq!(read(json!({"wrapupSkipped": "True"})).unwrap().wrapup_skipped, Some(true));
        assert_eq!(read(json!({"wrapup": r#"{"code":"7"}"#})).unwrap().wrapup, wrapup("7", None));
    }

    #[test]
    fn an_option_in_the_body_is_refused_with_the_place_where_it_belongs() {
        for (name, place) in
            [("dryRun", "?dryRun=true"), ("dry_run", "?dryRun=true"), ("wait", "Prefer: wait=5"), ("async", "query")]
        {
            for value in [json!(true), json!(false), json!(5), json!("5")] {
                let problem = read(json!({name: value, "reason": "r"})).unwrap_err();
                assert_eq!(problem.code, Code::InvalidBody, "{name}");
                assert!(problem.detail.contains(place), "{}", problem.detail);
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for body in [
            json!({"reason": 7}),
            json!({"cause": {}}),
            json!({"reason": "x".repeat(LONGEST_REASON + 1)}),
            json!({"media": "calls"}),
            json!({"media": ["call"]}),
            json!({"wrapup": {}}),
            json!({"wrapup": {"notes": "n"}}),
            json!({"wrapup": {"code": 7}}),
            json!({"wrapup": {"code": "7", "durationSeconds": 9}}),
            json!({"wrapup": "7"}),
            json!({"wrapup": {"code": "7"}, "wrapupSkipped": true}),
            json!({"wrapupSkipped": "perhaps"}),
        ] {
            assert_eq!(read(body.clone()).unwrap_err().code, Code::InvalidBody, "{body}");
        }
    }
}
