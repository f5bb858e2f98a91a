//! The async shell: a runtime, signals, the mining timer.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use assay_dev::Dev;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::cli::Failure;

/// How often the timer looks whether its interval was changed.
const TIMER_CHECK: Duration = Duration::from_millis(100);

/// Runs a future to its end on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.map_err(Failure::failed)?.block_on(future)
}

/// Waits until the process is told to stop.
pub(crate) async fn stopped() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::failed),
        _ = terminate.recv() => Ok(()),
    }
}

/// Mines at the interval that is set, if any, until the process is told to stop.
pub(crate) async fn mine_on_timer_until_stopped(dev: Arc<Dev>) -> Result<(), Failure> {
    tokio::select! {
        stopped = stopped() => stopped,
        failure = mine_on_timer(dev) => failure,
    }
}

async fn mine_on_timer(dev: Arc<Dev>) -> Result<(), Failure> {
    let mut last = Instant::now();
    loop {
        let due = dev
            .settings()
            .interval_s
            .map(|seconds| last + Duration::from_secs(seconds));
        let check = Instant::now() + TIMER_CHECK;
        match due {
            Some(due) if due <= check => {
                sleep_until(due).await;
                last = due;
                let dev = Arc::clone(&dev);
                let mined =
                    tokio::task::spawn_blocking(move || dev.mine().map(|_| ()).map_err(Box::new))
                        .await;
                mined.map_err(Failure::failed)?.map_err(Failure::failed)?;
            }
            Some(_) => sleep_until(check).await,
            None => {
                sleep_until(check).await;
                last = Instant::now();
            }
        }
    }
}

/// Reads the machine's clock, in whole seconds since 1970.
pub(crate) fn machine_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
