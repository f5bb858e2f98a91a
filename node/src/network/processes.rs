//! Validators as processes of this one: started with their logs, told to stop when it ends.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use super::founding::{Member, unusable};
use crate::{
    cli::Failure,
    client::{self, Client},
    serve,
};

/// Longest wait for the first block.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a node that was told to stop.
const FAREWELL: Duration = Duration::from_secs(15);

/// Validators that run; they are told to stop when this is dropped.
pub(crate) struct Processes {
    examples: bool,
    /// One for each member, in order; `None` for one that was stopped.
    running: Vec<Option<Child>>,
}

impl Processes {
    /// Starts every member; `examples` puts the example models into their stores.
    pub(crate) fn start(members: &[Member], examples: bool) -> Result<Self, Failure> {
        let mut processes = Self {
            examples,
            running: Vec::new(),
        };
        for member in members {
            let child = processes.spawn(member)?;
            processes.running.push(Some(child));
        }
        Ok(processes)
    }

    /// Starts a member that was stopped.
    pub(crate) fn start_again(&mut self, index: usize, member: &Member) -> Result<(), Failure> {
        let child = self.spawn(member)?;
        if let Some(place) = self.running.get_mut(index) {
            *place = Some(child);
        }
        Ok(())
    }

    /// Stops a member in order, and waits until it is gone.
    pub(crate) fn stop(&mut self, index: usize) {
        let child = self.running.get_mut(index).and_then(Option::take);
        farewell(child.into_iter().collect());
    }

    fn spawn(&self, member: &Member) -> Result<Child, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let path = member.folder.join("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| unusable(&path, &error))?;
        let output = log.try_clone().map_err(|error| unusable(&path, &error))?;
        let examples = self.examples.then_some("--examples");
        Command::new(&program)
            // Several nodes share this machine: whether it is fast enough is not the question.
            .args(["node", "run", "--skip-doctor", "--config"])
            .arg(member.config())
            .args(examples)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            // Ctrl-C is heard here, and told to each in order.
            .process_group(0)
            .spawn()
            .map_err(|error| unusable(&program, &error))
    }

    /// Waits until a node has the first decided block.
    pub(crate) fn first_block(&mut self, client: &Client, began: Instant) -> Result<u64, Failure> {
        loop {
            self.check()?;
            let head = client.call("eth_blockNumber", json!([])).ok();
            match head.and_then(|head| client::number(&head, "block number").ok()) {
                Some(head) if head > 0 => return Ok(head),
                _ if began.elapsed() > PATIENCE => {
                    return Err(Failure::failed(format!(
                        "no block after {} s",
                        PATIENCE.as_secs()
                    ))
                    .hint("read the logs named above"));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        for (index, child) in self.running.iter_mut().enumerate() {
            let Some(child) = child else { continue };
            if let Some(status) = child.try_wait().map_err(Failure::failed)? {
                return Err(
                    Failure::failed(format!("validator {index} ended: {status}"))
                        .hint("read its log"),
                );
            }
        }
        Ok(())
    }

    /// Waits until the process is told to stop, or a validator ends.
    pub(crate) async fn wait(&mut self) -> Result<(), Failure> {
        let watch = async {
            // Ends only when a validator did.
            loop {
                self.check()?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            stopped = serve::stopped() => stopped,
            ended = watch => ended,
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        farewell(self.running.iter_mut().filter_map(Option::take).collect());
    }
}

/// Tells processes to stop as Ctrl-C does, so that each ends in order, and waits for them.
fn farewell(mut children: Vec<Child>) {
    for child in &children {
        // A node that is gone needs no telling.
        let _ = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .stderr(Stdio::null())
            .status();
    }
    let deadline = Instant::now() + FAREWELL;
    for child in &mut children {
        while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
