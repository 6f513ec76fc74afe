//! One replica: a runtime of its own, with the real runner, disconnects and client in it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use super::upstream::SimulatedWire;
use super::world::{DEADLINE_MS, STEP_MS, World};
use crate::audit::Audit;
use crate::callers::Callers;
use crate::claims::Claims;
use crate::config::{Config, OperationChoice};
use crate::disconnect::Disconnector;
use crate::genesys::Client;
use crate::genesys::exchange::Exchange;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::store::{SharedDatabase, Store, StoreFault, Weather};

/// The wall clock at the beginning of each schedule.
const EPOCH_MS: i64 = 1_800_000_000_000;

pub(super) struct SimulatedReplica {
    runtime: Runtime,
    pub(super) jobs: Jobs,
    /// Its own clock, in time of the world.
    pub(super) clock: u64,
    pub(super) frozen_until: u64,
    stop: CancellationToken,
}

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(made_config)
}

fn made_config() -> Config {
    let mut config = Config::defaults();
    config.genesys.api_url = Some("http://api.test".to_owned());
    config.genesys.login_url = Some("http://login.test".to_owned());
    config.genesys.client_id = Some("sandbox".to_owned());
    config.genesys.client_secret = Some("sandbox-secret".into());
    config.genesys.operation = OperationChoice::Patch;
    config.disconnect.deadline = Duration::from_millis(DEADLINE_MS);
    config.disconnect.attempt_timeout = Duration::from_millis(700);
    config.auth.anonymous_permissions.0 = ["disconnect", "read", "bulk", "teardown"].map(str::to_owned).to_vec();
    config
}

/// Jobs over this store and this upstream. Nothing runs them yet.
pub(in crate::jobs) fn jobs_over(store: Store, exchange: Exchange) -> Jobs {
    let (config, shutdown, tasks) = (config(), Shutdown::default(), TaskTracker::new());
    let metrics = Arc::new(Metrics::new());
    let upstream = metrics.upstream();
    let client = Client::start(config, exchange, upstream, &tasks, &shutdown.ended, &shutdown.stopping);
    let callers = Callers::open(&config.auth).expect("callers");
    let items = Arc::clone(metrics.jobs());
    let claims = Claims::new(store.clone());
    let disconnector = Disconnector::new(config, client.expect("a client"), claims, metrics, tasks, &shutdown);
    Jobs::new(store, &config.jobs, disconnector, callers, Audit::default(), items)
}

impl SimulatedReplica {
    /// Starts one at this time of the world.
    pub(super) fn start(world: &Arc<Mutex<World>>, database: &SharedDatabase, number: usize, now: u64) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let (jobs, stop) = {
            let _inside = runtime.enter();
            let wire = SimulatedWire { world: Arc::clone(world), replica: number, born: now, origin: Instant::now() };
            let seen = wire.clone();
            let weather: Weather = Arc::new(move || store_weather(&seen));
            let then = EPOCH_MS + i64::try_from(now).unwrap_or(0);
            let exchange = BoxCloneSyncService::new(tower::service_fn(move |request| wire.clone().exchange(request)));
            let jobs = jobs_over(database.open(then, weather), exchange);
            let (running, stop) = (jobs.clone(), CancellationToken::new());
            let until = stop.clone();
            runtime.spawn(async move { running.run(until).await });
            (jobs, stop)
        };
        Self { runtime, jobs, clock: now, frozen_until: 0, stop }
    }

    /// Runs it until this time of the world. After a freeze its clock jumps, and every timer that was due fires at
    /// once.
    pub(super) fn run_until(&mut self, now: u64) {
        if now < self.frozen_until {
            return;
        }
        let step = Duration::from_millis(STEP_MS);
        let missed = Duration::from_millis(now - self.clock);
        self.runtime.block_on(async {
            if missed > step {
                advance(missed - step).await;
            }
            sleep(step.min(missed)).await;
        });
        self.clock = now;
    }

    /// Runs something else on it.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Shuts it down in order, as SIGTERM does.
    pub(super) fn ask_to_leave(&self) {
        self.stop.cancel();
    }
}

fn store_weather(wire: &SimulatedWire) -> (Duration, StoreFault) {
    let now = wire.now();
    let mut world = wire.world.lock();
    let takes = Duration::from_millis(world.between(0, 6));
    let (from, to) = world.store_down;
    if (from..to).contains(&now) {
        return (takes, StoreFault::OutOfReach);
    }
    let percent = world.store_trouble;
    if now >= world.quiet_from || !world.chance(percent) {
        return (takes, StoreFault::None);
    }
    world.disruptions.push((now, now + 600, Some(wire.replica)));
    let trouble = if world.chance(50) { StoreFault::TimedOut } else { StoreFault::TimedOutAfterCommit };
    (Duration::from_millis(500), trouble)
}
