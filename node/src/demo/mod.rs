//! `assay demo`: a network on this machine, and everything it promises, step by step.

mod lend;
mod lie;
mod market;
mod prove;
mod screen;
mod story;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;

use crate::{
    cli::Failure,
    network::{
        founding::{Member, Plan, found, temporary_folder, unusable},
        processes::Processes,
    },
    serve,
};
use story::Story;

/// Validators of the demo: the fewest of which one may be faulty.
const VALIDATORS: u8 = 4;

#[derive(Args)]
pub(crate) struct Options {
    /// Stop when the last step is done, instead of keeping the network up.
    #[arg(long)]
    once: bool,
}

/// The validators, shared between the steps and whoever waits for Ctrl-C.
type Running = Arc<Mutex<Option<Processes>>>;

/// Runs the steps, then keeps the network up until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = temporary_folder("demo")?;
    let running = Running::default();
    let outcome = steps_and_rest(options, &folder, &running);
    // The validators end before their folder does.
    drop(take(&running));
    match outcome {
        Ok(()) => std::fs::remove_dir_all(&folder).map_err(|error| unusable(&folder, &error)),
        Err(failure) => Err(failure.or_hint(format!("the logs in {}", folder.display()))),
    }
}

fn steps_and_rest(options: &Options, folder: &Path, running: &Running) -> Result<(), Failure> {
    // The steps wait and sleep: they run on a thread of their own, so that Ctrl-C is heard.
    let (ended, end) = tokio::sync::oneshot::channel();
    let (home, running) = (folder.to_owned(), Arc::clone(running));
    std::thread::spawn(move || {
        // Nobody listens any more once Ctrl-C was heard.
        let _ = ended.send(tell(&home, &running));
    });
    serve::block_on(async {
        tokio::select! {
            stopped = serve::stopped() => stopped,
            told = end => {
                let members =
                    told.map_err(|_| Failure::failed("the demo's steps ended without a word"))??;
                if options.once {
                    return Ok(());
                }
                stay(&members, folder);
                serve::stopped().await
            }
        }
    })
}

/// Walks the steps.
fn tell(folder: &Path, running: &Running) -> Result<Vec<Member>, Failure> {
    let plan = Plan {
        validators: VALIDATORS,
        chain_id: assay_dev::DEFAULT_CHAIN_ID,
        block_interval_ms: 1_000,
        propose_timeout_ms: 3_000,
        // The demo publishes its model itself.
        examples: false,
    };
    let members = found(&plan, folder)?;
    let story = Story::new(folder, &members, Arc::clone(running))?;
    story.decide_blocks()?;
    let model = story.publish()?;
    let market = story.deploy(&model)?;
    let loan = story.lend(&market)?;
    story.compare(&loan)?;
    story.prove(&loan, &model)?;
    let height = story.lie(&market)?;
    story.catch(height)?;
    story.mend()?;
    Ok(members)
}

fn stay(members: &[Member], folder: &Path) {
    println!("\nThe network stays up until Ctrl-C:\n");
    for member in members {
        println!("  {:<8} {}", member.name(), member.url());
    }
    let folder: PathBuf = folder.into();
    println!("  {:<8} {}", "logs", folder.display());
    if let Some(first) = members.first() {
        println!("\nTry: cast block-number --rpc-url {}", first.url());
    }
}

fn take(running: &Running) -> Option<Processes> {
    running
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}
