//! A bar for work that takes a while; it shows on terminals only.

use std::io::{IsTerminal as _, Write as _, stderr};

use crate::table::size;

const WIDTH: u64 = 30;

/// Shows how much of something is done.
pub(crate) struct Progress {
    label: &'static str,
    total_bytes: u64,
    shown: bool,
}

impl Progress {
    /// Starts a bar.
    pub(crate) fn new(label: &'static str, total_bytes: u64) -> Progress {
        Progress {
            label,
            total_bytes,
            shown: stderr().is_terminal(),
        }
    }

    /// Shows that so many bytes are done.
    pub(crate) fn set(&self, bytes: u64) {
        if self.shown {
            // A terminal that went away is no reason to stop.
            let _ = write!(stderr(), "\r{}", bar(self.label, bytes, self.total_bytes));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(stderr());
        }
    }
}

fn bar(label: &str, done: u64, total: u64) -> String {
    let part = |of: u64| {
        done.saturating_mul(of)
            .checked_div(total)
            .unwrap_or(of)
            .min(of)
    };
    let filled = part(WIDTH);
    let (full, empty) = (filled as usize, (WIDTH - filled) as usize);
    format!(
        "{label} [{}{}] {:>3}% of {}",
        "#".repeat(full),
        ".".repeat(empty),
        part(100),
        size(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_fits_a_terminal_and_never_overflows() {
        assert_eq!(
            bar("uploading", 512, 1024),
            "uploading [###############...............]  50% of 1.0 KiB"
        );
        assert!(bar("uploading", 9, 0).contains("100%"));
        assert!(bar("uploading", u64::MAX, u64::MAX).len() < 80);
    }
}
