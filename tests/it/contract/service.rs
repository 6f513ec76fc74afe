//! Requests whose answers are held against the file.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use hangup::config::Config;
use hangup::sandbox::{Conference, ConversationSpec, Fault};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::contract::file::{at, members, resolved, violations};
use crate::support::{TestApp, until};

/// An answer that was found to be as the file says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn word(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }
}

/// A running service whose answers are held against the file.
pub(crate) struct Service(TestApp);

impl Deref for Service {
    type Target = TestApp;
    fn deref(&self) -> &TestApp {
        &self.0
    }
}

impl Service {
    /// Starts it, with the defaults except for what `change` changes, and waits until it is ready.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Arc<Self> {
        let defaults = Config::defaults().sandbox;
        let builder = TestApp::sockets().config(|config| {
            config.sandbox.effect_delay = defaults.effect_delay;
            config.admin.bind = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            change(config);
        });
        let service = Self(builder.start().await);
        // Each test makes the conversations that it asks about.
        service.sandbox.end_conversation(service.conference.id);
        until(async || service.get("/readyz", &[], &[]).await.status == StatusCode::OK).await;
        Arc::new(service)
    }

    pub(crate) fn conference(&self) -> Conference {
        self.0.sandbox.create_conference(ConversationSpec::default())
    }

    /// Replaces the sandbox's faults by this one.
    pub(crate) fn fault(&self, fault: Value) {
        let fault: Fault = serde_json::from_value(fault).expect("a fault");
        self.0.sandbox.set_faults(vec![fault]).expect("a fault that can be");
    }

    pub(crate) async fn get(&self, template: &str, ids: &[&str], headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, template, ids, "", headers, "").await
    }

    /// The disconnect for this participant.
    pub(crate) async fn disconnect(
        &self,
        who: (Uuid, Uuid),
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let ids = [who.0.to_string(), who.1.to_string()];
        self.ask(Method::POST, hangup::http::routes::DISCONNECT, &[&ids[0], &ids[1]], query, headers, body).await
    }

    /// The disconnect for the customer of a conference of its own.
    pub(crate) async fn disconnect_a_customer(&self, headers: &[(&str, &str)]) -> Answer {
        let conference = self.conference();
        let customer = conference.first("customer").expect("a customer");
        self.disconnect((conference.id, customer), "", headers, "").await
    }

    /// Sends a request to the template with its parameters filled in, and holds the answer against the file.
    pub(crate) async fn ask(
        &self,
        method: Method,
        template: &str,
        ids: &[&str],
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut path = template.to_owned();
        for id in ids {
            let (from, to) = (path.find('{').expect("a parameter"), path.find('}').expect("its end"));
            path.replace_range(from..=to, id);
        }
        assert!(!path.contains('{'), "{path} has parameters left");
        let admin = matches!(template, "/mode" | "/livez" | "/readyz" | "/metrics");
        let path = format!("{path}{query}");
        let mut ask = if admin { self.admin(method.clone(), &path) } else { self.request(method.clone(), &path) };
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let answer = ask.body(body).send().await;
        let (status, headers) = (StatusCode::from_u16(answer.status).expect("a status"), answer.headers);
        let body = hold(method.as_str(), template, status, &headers, answer.text.as_bytes());
        Answer { status, headers, body }
    }
}

/// Holds an answer against what the file says of this operation.
fn hold(method: &str, template: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Value {
    let what = format!("{method} {template} {}", status.as_u16());
    let path = at(&format!("/paths/{}", template.replace('/', "~1")));
    // A method that the path does not have is answered as the file says of those that it has.
    let operation = match &path[method.to_ascii_lowercase()] {
        Value::Null => members(path).find(|(_, o)| o["responses"].is_object()).expect("an operation").1,
        operation => operation,
    };
    let responses = &operation["responses"];
    let response = match &responses[status.as_str()] {
        Value::Null if status.is_client_error() => &responses["4XX"],
        response => response,
    };
    assert!(response.is_object(), "the file does not know {what}: {}", String::from_utf8_lossy(body));
    let response = resolved(response);
    for (name, header) in members(&response["headers"]) {
        let header = resolved(header);
        let value = headers.get(name).map(|value| value.to_str().expect("a header of ASCII"));
        match value {
            None => assert_ne!(header["required"], true, "{what} has no {name}"),
            Some(value) => {
                let number = || value.parse::<i64>().map(Value::from).expect("a number");
                let instance = if header["schema"]["type"] == "integer" { number() } else { value.into() };
                let wrong = violations(&header["schema"], &instance);
                assert!(wrong.is_empty(), "{what}: {name}: {value}: {wrong:?}");
            }
        }
    }
    let content = &response["content"];
    if content.is_null() {
        assert!(body.is_empty(), "{what} has a body: {}", String::from_utf8_lossy(body));
        return Value::Null;
    }
    let kind = headers.get("content-type").expect("a content type").to_str().expect("ASCII");
    let media_type = &content[kind];
    assert!(media_type.is_object(), "the file does not know {what} as {kind}");
    if media_type["schema"].is_null() {
        assert!(!body.is_empty(), "{what} has no body");
        return Value::Null;
    }
    assert!(!body.contains(&b'\n'), "{what} has more than one line");
    let body: Value = serde_json::from_slice(body).expect("a JSON body");
    let wrong = violations(&media_type["schema"], &body);
    assert!(wrong.is_empty(), "{what}: {body:#}\n{wrong:#?}");
    if let (Some(code), true) = (body["code"].as_str(), media_type["schema"]["$ref"] == "#/components/schemas/Problem")
    {
        assert!(media_type["examples"][code].is_object(), "{what} knows no {code}");
        assert_eq!(body["status"], status.as_u16());
    }
    body
}
