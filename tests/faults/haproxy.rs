//! Two instances behind a real HAProxy, one of which is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::sleep;

use super::callers::Traffic;
use super::http::Caller;
use super::service::Process;
use super::shared::stand_in::StandIn;
use super::shared::{free_addr, until};
use super::table::{Row, left_out};
use super::target::target_in;

const TEST: &str = "haproxy::a_sigkill_of_one_of_two_instances_fails_nobody";

/// A real HAProxy.
#[derive(Debug)]
pub(crate) struct Proxy(Child);

impl Proxy {
    /// Starts it with this configuration, whose variables these are. `None` where the machine has none.
    pub(crate) fn start(test: &str, file: &Path, variables: &[(&str, String)]) -> Option<Self> {
        if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
            println!("{test}: NOT HELD: there is no haproxy on this machine (Debian: apt-get install haproxy)");
            return None;
        }
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        Some(Self(command.envs(variables).spawn().expect("haproxy starts")))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn configuration(front: SocketAddr, one: &Process, two: &Process) -> String {
    let server = |name: &str, service: &Process| {
        format!("  server {name} {} check port {} inter 300ms fall 2 rise 1\n", service.addr, service.admin.port())
    };
    format!(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 15s\n  timeout queue 5s\n  \
         retries 3\n  option redispatch 1\n  retry-on conn-failure empty-response response-timeout\n\
         frontend callers\n  bind {front}\n  default_backend instances\n\
         backend instances\n  balance roundrobin\n  option httpchk GET /readyz\n  http-check expect status 200\n{}{}",
        server("one", one),
        server("two", two)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_of_one_of_two_instances_fails_nobody() {
    if left_out(TEST) {
        return;
    }
    let stand_in = StandIn::new();
    let one = stand_in.start(stand_in.plan()).await;
    let two = stand_in.start(stand_in.plan()).await;
    let front = free_addr();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(&file, configuration(front, &one, &two)).expect("a file");
    let Some(_proxy) = Proxy::start(TEST, &file, &[]) else { return };
    let mut first = Caller::new(front);
    let up = until(Duration::from_secs(10), async || {
        first.post(&stand_in.target().path()).await.is_ok_and(|a| a.status == 200)
    });
    assert!(up.await.is_some(), "haproxy does not serve");

    let sandbox = stand_in.sandbox.clone();
    let traffic = Traffic::start_with(Caller::new(front), 200, move || target_in(&sandbox));
    sleep(Duration::from_secs(2)).await;
    one.signal("KILL");
    sleep(Duration::from_secs(3)).await;
    let seen = traffic.end().await;
    seen.none_failed();
    assert!(stand_in.only_these_are_gone(&seen.gone()).await);
    Row {
        theme: "Shutdown and crashes",
        fault: "SIGKILL of one of two instances behind HAProxy, at 200 requests a second",
        callers_see: "Nothing, if HAProxy retries (`retry-on conn-failure empty-response response-timeout`)",
        figure: "0 failed requests; everyone reported gone is gone",
        measured: format!("{} requests", seen.total()),
        test: TEST,
        long_half: true,
    }
    .write();
}
