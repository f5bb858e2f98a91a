//! What the demo prints: a line for each step with its time, details below it, eighty columns wide.

use std::{
    io::{IsTerminal as _, Write as _, stdout},
    time::Instant,
};

/// Columns of a terminal nobody widened.
const WIDTH: usize = 80;
/// Columns the time takes.
const INDENT: usize = 10;

/// Prints steps as they end; on a terminal also the one that runs.
pub(super) struct Screen {
    began: Instant,
    terminal: bool,
}

impl Screen {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            terminal: stdout().is_terminal(),
        }
    }

    /// Says what is under way, until the next step ends.
    pub(super) fn doing(&self, text: &str) {
        if self.terminal {
            let text: String = text.chars().take(WIDTH - INDENT - 4).collect();
            print!("\r{:INDENT$}{text} ...", "");
            flush();
        }
    }

    /// Says what is done, and what came of it.
    pub(super) fn done(&self, text: &str, details: &[String]) {
        if self.terminal {
            print!("\r{:WIDTH$}\r", "");
        }
        let seconds = self.began.elapsed().as_secs_f64();
        for (index, line) in wrap(text, WIDTH - INDENT).enumerate() {
            match index {
                0 => println!("{seconds:6.1} s  {line}"),
                _ => println!("{:INDENT$}{line}", ""),
            }
        }
        for detail in details {
            for line in wrap(detail, WIDTH - INDENT - 2) {
                println!("{:INDENT$}  {line}", "");
            }
        }
        flush();
    }
}

/// A terminal that went away is no reason to stop.
fn flush() {
    let _ = stdout().flush();
}

/// Breaks a text at blanks; a word longer than a line keeps its own.
fn wrap(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_lose_nothing() {
        let lines: Vec<String> = wrap("one two three four", 9).collect();
        assert_eq!(lines, ["one two", "three", "four"]);
        let long = "x".repeat(30);
        assert_eq!(
            wrap(&format!("a {long} b"), 9).collect::<Vec<_>>(),
            ["a", &long, "b"]
        );
    }
}
