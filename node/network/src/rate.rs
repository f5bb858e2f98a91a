//! How fast a peer may ask: a bucket that fills with time. Pure; time is an argument.

use std::time::Instant;

/// A burst is as much as so many seconds give.
const BURST_SECONDS: u64 = 4;
/// Tokens are counted in thousandths, so that milliseconds count.
const SCALE: u64 = 1_000;

/// Tokens that come with time and go with use.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    per_s: u64,
    /// Thousandths of a token.
    left: u64,
    filled: Instant,
}

impl Bucket {
    /// Makes a full bucket.
    pub(crate) fn new(per_s: u32, now: Instant) -> Self {
        let per_s = u64::from(per_s);
        Self {
            per_s,
            left: full(per_s),
            filled: now,
        }
    }

    /// Takes so many tokens, if they are there.
    pub(crate) fn take(&mut self, tokens: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if elapsed > 0 {
            let gained = elapsed.saturating_mul(self.per_s);
            self.left = self.left.saturating_add(gained).min(full(self.per_s));
            self.filled = now;
        }
        match self.left.checked_sub(tokens.saturating_mul(SCALE)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

const fn full(per_s: u64) -> u64 {
    per_s.saturating_mul(BURST_SECONDS * SCALE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        let burst = (0..100).filter(|_| bucket.take(1, start)).count();
        assert_eq!(burst, 40);
        let later = start + Duration::from_millis(500);
        let more = (0..100).filter(|_| bucket.take(1, later)).count();
        assert_eq!(more, 5);
    }

    #[test]
    fn what_is_larger_than_a_burst_never_passes() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert!(!bucket.take(41, start + Duration::from_secs(3_600)));
        assert!(!bucket.take(u64::MAX, start));
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1, start);
        assert!(bucket.take(4, start));
        assert!(!bucket.take(1, start));
    }
}
