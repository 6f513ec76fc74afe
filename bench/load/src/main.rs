//! Sends disconnects at a fixed rate over some kept connections, each with a conversation id of its own, and prints one
//! line of JSON: how many were answered how, and the latencies in microseconds.
//!
//! `hangup-load ADDR RATE SECONDS CONNECTIONS KEY`
//!
//! A latency counts from the moment at which the request was due, so that a slow answer is not forgiven by sending later.
//! Only the generator's own oversleeping is left out: where the connection was free when the request was due, the latency
//! counts from the sending.

mod connection;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use connection::Connection;

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    ok: u64,
    refused: u64,
    failed: u64,
    latencies: Vec<Duration>,
}

#[derive(Debug, Clone)]
struct Plan {
    addr: SocketAddr,
    rate: f64,
    requests: u64,
    connections: u64,
    key: String,
    run: u64,
}

fn main() -> ExitCode {
    match plan(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Some(plan) => {
            println!("{}", line(carry_out(&plan)));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("usage: hangup-load ADDR RATE SECONDS CONNECTIONS KEY");
            ExitCode::from(2)
        }
    }
}

fn plan(arguments: &[String]) -> Option<Plan> {
    let [addr, rate, seconds, connections, key] = arguments else { return None };
    let rate: f64 = rate.parse().ok().filter(|rate| *rate > 0.0)?;
    let seconds: f64 = seconds.parse().ok()?;
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
    Some(Plan {
        addr: addr.parse().ok()?,
        rate,
        requests: (rate * seconds) as u64,
        connections: connections.parse().ok().filter(|count| *count > 0)?,
        key: key.clone(),
        run,
    })
}

/// Runs all connections to their end.
fn carry_out(plan: &Plan) -> Seen {
    let start = Instant::now() + Duration::from_millis(50);
    let threads: Vec<_> = (0..plan.connections)
        .map(|first| {
            let plan = plan.clone();
            std::thread::spawn(move || drive(&plan, first, start))
        })
        .collect();
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().unwrap_or_else(|_| Seen { failed: 1, ..Seen::default() });
        all.ok += seen.ok;
        all.refused += seen.refused;
        all.failed += seen.failed;
        all.latencies.extend(seen.latencies);
    }
    all
}

/// One connection: every `connections`-th request, each when it is due.
fn drive(plan: &Plan, first: u64, start: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::new(plan.addr, &plan.key);
    for number in (first..plan.requests).step_by(plan.connections as usize) {
        let due = start + Duration::from_secs_f64(number as f64 / plan.rate);
        let pause = due.saturating_duration_since(Instant::now());
        std::thread::sleep(pause);
        let from = if pause.is_zero() { due } else { Instant::now() };
        // Version 4 in form; the run and the number make it unique.
        let id = format!("{:08x}-{:04x}-4000-8000-{number:012x}", (plan.run >> 16) as u32, plan.run as u16);
        match connection.disconnect(&id) {
            Ok(200..=299) => seen.ok += 1,
            Ok(_) => seen.refused += 1,
            Err(_) => seen.failed += 1,
        }
        seen.latencies.push(from.elapsed());
    }
    seen
}

fn line(mut seen: Seen) -> String {
    seen.latencies.sort_unstable();
    let at = |share: f64| {
        let index = (seen.latencies.len().saturating_sub(1) as f64 * share).round() as usize;
        seen.latencies.get(index).map_or(0, Duration::as_micros)
    };
    format!(
        r#"{{"completed":{},"errors":{},"p50_us":{},"p99_us":{},"max_us":{}}}"#,
        seen.ok + seen.refused,
        seen.refused + seen.failed,
        at(0.5),
        at(0.99),
        at(1.0)
    )
}
