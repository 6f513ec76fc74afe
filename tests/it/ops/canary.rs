//! Secrets never reach a log, an error, a metric, an answer, the audit or `Debug`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hangup::config::Config;

use crate::support::process::Binary;
use crate::support::until;

const WRONG_KEY: &str = "canary-wrong-key-0123456789";
const WRONG_BEARER: &str = "canary.wrong.bearer-0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_found_anywhere_after_the_main_ways_to_fail() {
    let binary = Binary::new().await;
    let (key, keys, file) = binary.key_and_audit();
    let environment = [
        ("HANGUP__AUTH__KEYS_FILE", keys.as_str()),
        ("HANGUP__AUDIT__TARGET", file.as_str()),
        ("HANGUP__TELEMETRY__LOG_LEVEL", "trace"),
        ("HANGUP__DISCONNECT__DEADLINE", "2s"),
    ];
    let mut service = binary.serve(&[], &environment).await;
    until(|| async { service.get("/readyz").await.0 == 200 }).await;
    let bearer = format!("Bearer {key}");
    let basic = format!("Basic {}", STANDARD.encode(format!("ivr:{key}")));
    let wrong_basic = format!("Basic {}", STANDARD.encode(format!("ivr:{WRONG_KEY}")));
    let wrong_bearer = format!("Bearer {WRONG_BEARER}");
    let disconnect = binary.disconnect(binary.who("customer"));
    let drop_in = format!("/api/v2{disconnect}");
    let mut answers = String::new();
    let faults = [
        r#"{"on":"api","times":3,"action":"unauthorized"}"#,
        r#"{"on":"api","times":3,"action":{"forbidden":{"permission":"x"}}}"#,
        r#"{"on":"api","times":3,"action":{"answer":{"status":500}}}"#,
        r#"{"on":"api","times":3,"action":"reset"}"#,
        r#"{"on":"read","times":3,"action":{"body":{"kind":"garbage"}}}"#,
        r#"{"on":"login","times":2,"action":{"answer":{"status":503}}}"#,
        r#"{"on":"api","times":3,"action":{"redirect":{"location":"http://127.0.0.1:1/"}}}"#,
    ];
    for fault in faults {
        binary.fault(fault).await;
        for path in [disconnect.as_str(), drop_in.as_str()] {
            for header in [
                ("x-api-key", key.as_str()),
                ("authorization", bearer.as_str()),
                ("authorization", basic.as_str()),
                ("x-api-key", WRONG_KEY),
                ("authorization", wrong_bearer.as_str()),
            ] {
                answers += &service.post(path, &[header], r#"{"reason":"x"}"#).await.1;
                answers += &service.post(path, &[header], "not json").await.1;
            }
        }
    }
    answers +=
        &service.post("/oauth/token", &[("authorization", &wrong_basic)], "grant_type=client_credentials").await.1;
    // This one answer is the caller's own key, and is meant to be.
    let (status, login) =
        service.post("/oauth/token", &[("authorization", &basic)], "grant_type=client_credentials").await;
    assert!(status == 200 && login.contains(&key));
    let metrics = service.get("/metrics").await.1;
    assert_eq!(service.stop().await, Some(0));

    let logs = service.log();
    let audit = std::fs::read_to_string(binary.path("audit.jsonl")).unwrap();
    assert!(logs.len() > 10_000 && audit.len() > 1_000 && answers.len() > 1_000, "the ways to fail were walked");
    let config = Config::from_parts(
        None,
        [
            ("HANGUP__GENESYS__CLIENT_SECRET".to_owned(), "canary-client-secret".to_owned()),
            ("HANGUP__GENESYS__PROXY".to_owned(), "http://user:canary-proxy-password@proxy:3128".to_owned()),
            ("HANGUP__TELEMETRY__OTLP_ENDPOINT".to_owned(), "http://canary-otlp-password@c:4318".to_owned()),
            ("HANGUP__SANDBOX__CLIENT_SECRET".to_owned(), "canary-sandbox-secret".to_owned()),
        ]
        .into(),
    )
    .unwrap();
    let debug = format!("{config:?}");
    // Tokens of the sandbox are opaque to us: take one from its login to know their form, and look for the header's word.
    let secrets = [
        key.as_str(),
        WRONG_KEY,
        WRONG_BEARER,
        "sandbox-secret",
        &basic["Basic ".len()..],
        &wrong_basic["Basic ".len()..],
        &STANDARD.encode("sandbox:sandbox-secret"),
        "canary-client-secret",
        "canary-sandbox-secret",
        "canary-proxy-password",
        "canary-otlp-password",
        "access_token",
        "Bearer ey",
    ];
    for (where_, text) in
        [("logs", &logs), ("metrics", &metrics), ("answers", &answers), ("audit", &audit), ("Debug", &debug)]
    {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in the {where_}");
        }
    }
}
