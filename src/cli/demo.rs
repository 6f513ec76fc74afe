//! `hangup demo`: service and sandbox in one process, over real sockets, with nothing to configure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::serve::start_failed;
use super::{Failure, table};
use crate::app::{App, UpstreamTransport, stop_signals};
use crate::callers::Permission;
use crate::config::{Config, LogFormat};
use crate::sandbox::{self, Conference, ConversationSpec, Sandbox};
use crate::{server, telemetry};

/// Runs the demo until Ctrl-C, or once.
pub(super) async fn run(mut config: Config, once: bool, is_set: impl Fn(&str) -> bool) -> Result<(), Failure> {
    config.telemetry.log_target = "stderr".to_owned();
    config.telemetry.log_format = LogFormat::Human;
    if once {
        config.telemetry.log_level = "warn".to_owned();
    }
    let _guard = telemetry::install(&config.telemetry).map_err(Failure::unusable)?;
    let (asked, hurry) = stop_signals();
    let _ = server::raise_descriptor_limit();

    let stand_in = Sandbox::new(&config.sandbox);
    let listener = listen(config.sandbox.bind, is_set("sandbox.bind"))?;
    let upstream = format!("http://{}", listener.local_addr().map_err(|e| Failure::failed(e.to_string()))?);
    let sandbox_stop = CancellationToken::new();
    let serving = tokio::spawn(stand_in.clone().serve(listener, sandbox_stop.clone()));
    let conference = stand_in.create_conference(ConversationSpec::default());

    // Gone with the demo.
    let state = state_folder(&[Some(std::env::temp_dir()), std::env::var_os("STATE_DIRECTORY").map(PathBuf::from)]);
    config.store.url = match &state {
        Some(state) => format!("sqlite:{}", state.join("hangup.db").display()).as_str().into(),
        None => "memory".into(),
    };
    config.genesys.region = None;
    config.genesys.api_url = Some(upstream.clone());
    config.genesys.login_url = Some(upstream.clone());
    config.genesys.client_id = Some(config.sandbox.client_id.clone());
    config.genesys.client_secret = Some(SecretString::from(config.sandbox.client_secret.expose_secret()));
    config.genesys.client_secret_file = None;
    // Its caller has no key, and may do all that there is to see.
    config.auth.anonymous_permissions.0 = Permission::ALL.map(|permission| permission.to_string()).to_vec();
    // No caller depends on a demo, so it leaves at once.
    config.shutdown.grace = Duration::ZERO;
    if !is_set("server.bind") && listen_fails(config.server.bind) {
        println!("{} is in use: hangup takes a free port instead.", config.server.bind);
        config.server.bind.set_port(0);
    }
    let app = App::build(config.clone(), UpstreamTransport::Sockets).await.map_err(start_failed)?;
    let service = format!("http://{}", app.addr().map_err(|e| Failure::failed(e.to_string()))?);

    let result = if once {
        let done = CancellationToken::new();
        let running = tokio::spawn(app.run_until(done.clone().cancelled_owned(), std::future::pending()));
        let result = disconnect_one(&stand_in, &conference, &service).await;
        done.cancel();
        let _ = running.await;
        result
    } else {
        introduce(&service, &upstream, &conference);
        app.run_until(asked.cancelled(), hurry.cancelled()).await;
        Ok(())
    };
    sandbox_stop.cancel();
    let _ = serving.await;
    if let Some(state) = state {
        let _ = std::fs::remove_dir_all(state);
    }
    result
}

/// Makes a folder for the demo's store in the first of these that can be written: a container's root may be read-only.
fn state_folder(candidates: &[Option<PathBuf>]) -> Option<PathBuf> {
    let name = format!("hangup-demo-{}", Uuid::new_v4());
    candidates.iter().flatten().map(|folder| folder.join(&name)).find(|folder| std::fs::create_dir(folder).is_ok())
}

/// The configured address. Where it is only the default, and in use, a free port: a demo runs beside any other program. An
/// address that was chosen is never changed.
fn listen(bind: SocketAddr, chosen: bool) -> Result<TcpListener, Failure> {
    let failed = |e| {
        Failure::failed(format!(
            "sandbox.bind = \"{bind}\": cannot listen there ({e}); choose another address or stop what uses it"
        ))
    };
    match sandbox::listen(bind) {
        Err(_) if !chosen => {
            println!("{bind} is in use: the sandbox takes a free port instead.");
            sandbox::listen(SocketAddr::new(bind.ip(), 0)).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

fn listen_fails(bind: SocketAddr) -> bool {
    std::net::TcpListener::bind(bind).is_err()
}

/// What a newcomer can do now.
fn introduce(service: &str, upstream: &str, conference: &Conference) {
    let cid = conference.id;
    let someone = target(conference).unwrap_or_default();
    println!(
        "hangup serves on        {service}\n\
         the sandbox stands in for Genesys Cloud on  {upstream}\n\n\
         Open in your browser:   {service}/console\n\
         The contract, to try:   {service}/docs\n\n\
         A live conference, conversation {cid}:\n\n{}\n\
         Disconnect the customer:\n\n  curl -X POST {service}/conversations/{cid}/participants/{someone}/disconnect\n\n\
         … and wait until the customer is seen gone:\n\n  \
         curl -X POST -H 'Prefer: wait=5' {service}/conversations/{cid}/participants/{someone}/disconnect\n\n\
         Who is there now:\n\n  curl {service}/conversations/{cid}/participants\n\n\
         Another conference:\n\n  curl -X POST {upstream}/sandbox/conversations\n\n\
         Ctrl-C ends the demo.\n",
        list(conference)
    );
}

fn list(conference: &Conference) -> String {
    let rows: Vec<_> = conference
        .participants
        .iter()
        .map(|p| {
            let state = if p.live { "connected" } else { "gone" };
            vec![p.id.to_string(), p.purpose.clone(), p.name.clone(), state.to_owned()]
        })
        .collect();
    table::render(&["PARTICIPANT", "PURPOSE", "NAME", "STATE"], &rows)
}

fn target(conference: &Conference) -> Option<Uuid> {
    conference.participants.iter().find(|p| p.live && p.purpose == "customer").map(|p| p.id)
}

/// Disconnects the customer over HTTP, and compares the conference before and after.
async fn disconnect_one(stand_in: &Sandbox, before: &Conference, service: &str) -> Result<(), Failure> {
    let someone = target(before).ok_or_else(|| Failure::failed("the conference has no live customer"))?;
    let url = format!("{service}/conversations/{}/participants/{someone}/disconnect", before.id);
    println!("Before:\n\n{}\nPOST {url}\n", list(before));
    let failed = |e: reqwest::Error| Failure::failed(format!("the service does not answer: {}", e.without_url()));
    let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
    let answer = client.post(&url).header("prefer", "wait=5").send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.text().await.map_err(failed)?;
    println!("{}\n{body}\n", status.as_u16());
    let after = stand_in.conference(before.id).ok_or_else(|| Failure::failed("the conference no longer exists"))?;
    println!("After:\n\n{}", list(&after));
    let expected: Vec<Uuid> = before.live().into_iter().filter(|id| *id != someone).collect();
    if status != reqwest::StatusCode::OK {
        return Err(Failure::failed(format!("the service answered {}", status.as_u16())));
    }
    if after.live() != expected {
        return Err(Failure::failed("not exactly that participant is gone"));
    }
    println!("Exactly that participant is gone.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_keeps_its_store_in_the_first_folder_that_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Some(folder.path().join("missing"));
        let found = state_folder(&[missing.clone(), None, Some(folder.path().to_owned())]).unwrap();
        assert!(found.starts_with(folder.path()) && found.is_dir());
        assert_eq!(state_folder(&[missing]), None);
    }
}
