//! A service and a sandbox on free ports, and requests whose answers are held against the file.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hangup::app::{App, Upstream};
use hangup::config::Config;
use hangup::sandbox::{self, Conference, ConversationSpec, Fault, Sandbox};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::contract::file::{at, members, resolved, violations};

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

/// A running service in front of a sandbox.
pub(crate) struct Service {
    pub(crate) sandbox: Sandbox,
    pub(crate) stop: CancellationToken,
    addr: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
}

impl Service {
    /// Starts both, with the defaults but for what `change` changes, and waits until the service is ready.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Arc<Self> {
        let mut config = Config::defaults();
        let sandbox = Sandbox::new(&config.sandbox);
        let listener = sandbox::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port for the sandbox");
        let upstream = format!("http://{}", listener.local_addr().expect("its address"));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, CancellationToken::new()));
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        config.server.bind = anywhere;
        config.admin.bind = Some(anywhere);
        config.genesys.api_url = Some(upstream.clone());
        config.genesys.login_url = Some(upstream);
        config.genesys.client_id = Some(config.sandbox.client_id.clone());
        config.genesys.client_secret = Some(SecretString::from(config.sandbox.client_secret.expose_secret()));
        config.shutdown.grace = Duration::ZERO;
        config.store.url = "memory".into();
        change(&mut config);
        let app = App::build(config, Upstream::Sockets).await.expect("a service");
        let (addr, admin) = (app.addr().expect("its address"), app.admin_addr().expect("its second address"));
        tokio::spawn(app.run_until(stop.clone().cancelled_owned(), std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let service = Self { sandbox, stop, addr, admin, client };
        for _ in 0..100 {
            if service.get("/readyz", &[], &[]).await.status == StatusCode::OK {
                return Arc::new(service);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service does not become ready");
    }

    pub(crate) fn conference(&self) -> Conference {
        self.sandbox.create_conference(ConversationSpec::default())
    }

    /// Replaces the sandbox's faults by this one.
    pub(crate) fn fault(&self, fault: Value) {
        let fault: Fault = serde_json::from_value(fault).expect("a fault");
        self.sandbox.set_faults(vec![fault]).expect("a fault that can be");
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
    pub(crate) async fn hang_somebody_up(&self, headers: &[(&str, &str)]) -> Answer {
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
        let addr = if admin { self.admin } else { self.addr };
        let mut request =
            self.client.request(method.clone(), format!("http://{addr}{path}{query}")).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("its body");
        let body = hold(method.as_str(), template, status, &headers, &bytes);
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
