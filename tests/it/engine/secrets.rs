//! Secrets: neither the client's secret nor a token is in an answer, a log line, a metric or a `Debug`.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Kind, Reply, TestApp, ms, s};

thread_local! {
    /// Other tests run beside this one, on threads of their own.
    static CAPTURED_HERE: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Captures whatever is logged on this thread from now on.
    fn here() -> Self {
        let captured = Self::default();
        CAPTURED_HERE.set(true);
        let lines = layer().with_writer(captured.clone()).with_filter(dynamic_filter_fn(|_, _| CAPTURED_HERE.get()));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines)).unwrap();
        captured
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const TOKEN: &str = "canary-token-0123456789";
const SECRET: &str = "canary-secret-0123456789";

#[tokio::test(start_paused = true)]
async fn an_upstream_that_echoes_what_it_was_sent_gives_nothing_away() {
    let captured = Captured::here();
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("Bearer {TOKEN}"));
    let escaped: String = TOKEN.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let forms = [TOKEN.to_owned(), encoded.clone(), escaped, TOKEN[..16].to_owned()];
    let echo = move |status: u16, form: usize| {
        let text = &forms[form % forms.len()];
        Reply::status(status, &format!("{{\"code\":\"bad.request\",\"status\":{status},\"message\":\"{text}\"}}"))
    };
    let service = TestApp::patch()
        .crowd(20)
        .config(|c| c.genesys.client_secret = Some(SECRET.into()))
        .script(move |asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::grant(TOKEN, 100)),
            (Kind::Login, 2) => Some(Reply::json(&serde_json::json!({"access_token": TOKEN, "expires_in": "soon"}))),
            (Kind::Login, 3) => Some(Reply::status(503, SECRET)),
            (Kind::Login, _) => Some(Reply::Http {
                status: 401,
                headers: vec![],
                body: serde_json::json!({"error": SECRET, "description": SECRET}).to_string().into(),
            }),
            (Kind::Read, nth) => Some(echo(500, nth)),
            (_, nth) => Some(echo([400, 403, 404, 409, 429, 500, 503, 422, 401][(nth - 1) % 9], nth)),
        })
        .ready()
        .await;
    let mut shown = String::new();
    for n in 0..12 {
        let answer = service.disconnect(n).send().await;
        shown += &format!("{} {:?}\n", answer.json, answer.headers);
        shown += &format!("{:?}\n", service.app);
    }
    // The renewals fail, and then there is no token.
    tokio::time::sleep(s(100)).await;
    shown += &format!("{} {:?}\n", service.disconnect(0).send().await.json, service.app);
    tokio::time::sleep(ms(100)).await;
    shown += &captured.text();
    assert!(shown.contains("login_failed") && shown.contains("upstream_attempt"), "the log was captured");
    assert!(shown.contains("[token]"), "the echo was found and taken out");
    assert!(!shown.contains(&TOKEN[..16]), "the token is given away");
    assert!(!shown.contains(&encoded[12..28]), "the token is given away as base64");
    assert!(!shown.contains(SECRET), "the secret is given away");
}
