//! A pool of parked threads that run the chunks of one kernel.
//!
//! Chunks cover disjoint outputs and are handed out in any order: who computes a chunk never shows
//! in the result. Nested and concurrent calls are allowed; the ones that find the workers taken
//! compute on the caller's thread.
#![allow(unsafe_code)]

mod slice;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub(crate) use self::slice::SharedSlice;
use crate::isa;

/// Bounds the threads of one pool.
pub const MAX_THREADS: usize = 256;

/// Is how often a thread looks for what it waits for before it goes to sleep: about a millisecond,
/// in which the next kernel of a model nearly always comes, whatever one thread does in between.
/// Waking up takes as long as a small kernel.
const LOOKS: usize = 20_000;

/// Owns threads that wait for work; dropping it ends them.
#[derive(Debug)]
pub struct Pool {
    shared: Option<Arc<Shared>>,
    workers: Vec<JoinHandle<()>>,
}

/// Is one call of [`Pool::run`], seen by the workers.
///
/// The pointer's lifetime is erased; `Pool::run` returns only when no worker holds it any more.
#[derive(Clone, Copy)]
struct Job {
    call: unsafe fn(*const (), usize),
    context: *const (),
    chunks: usize,
}

// SAFETY: the context points to a closure that is `Sync`, and is used only while it lives.
unsafe impl Send for Job {}

struct State {
    job: Option<Job>,
    /// Counts jobs, so that a worker never takes the same one twice.
    epoch: u64,
    /// Counts workers inside the current job.
    active: usize,
    /// Counts workers that sleep until there is work.
    asleep: usize,
    /// Says that the caller sleeps until the job is done.
    awaited: bool,
    panic: Option<Box<dyn Any + Send>>,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
    /// Holds, for each thread, the next chunk of its share.
    next: Vec<Next>,
    taken: AtomicBool,
    /// Shows the state's epoch, its count of active workers and whether the pool closes to threads
    /// that look without the lock; what they see is checked under it.
    epoch: AtomicU64,
    active: AtomicUsize,
    closing: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Is the next chunk of one thread's share, in a cache line of its own.
#[repr(align(64))]
#[derive(Default)]
struct Next(AtomicUsize);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the share of a thread begins: as many chunks for each, next to each other.
    fn share_start(&self, job: Job, thread: usize) -> usize {
        let threads = self.next.len();
        job.chunks / threads * thread + (job.chunks % threads).min(thread)
    }

    /// Runs the chunks of a thread's share, which are the same in kernel after kernel and so find much
    /// of their data in its cache, then what others have left of theirs.
    fn drain(&self, job: Job, thread: usize) {
        let threads = self.next.len();
        for owner in (thread..threads).chain(0..thread) {
            let end = self.share_start(job, owner + 1);
            loop {
                let chunk = self.next[owner].0.fetch_add(1, Ordering::Relaxed);
                if chunk >= end {
                    break;
                }
                // SAFETY: `Pool::run` keeps the context alive until every worker has left `drain`.
                unsafe { (job.call)(job.context, chunk) };
            }
        }
    }

    fn work(&self, thread: usize) {
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            if state.closing {
                return;
            }
            let Some(job) = state.job.filter(|_| state.epoch != seen) else {
                let epoch = state.epoch;
                drop(state);
                let moved = || self.epoch.load(Ordering::Acquire) != epoch;
                look(|| moved() || self.closing.load(Ordering::Acquire));
                state = self.lock();
                if state.epoch == epoch && !state.closing {
                    state.asleep += 1;
                    state = self
                        .work
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    state.asleep -= 1;
                }
                continue;
            };
            seen = state.epoch;
            state.active += 1;
            self.active.store(state.active, Ordering::Release);
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(|| {
                isa::assert_float_environment();
                self.drain(job, thread);
            }));
            state = self.lock();
            state.active -= 1;
            self.active.store(state.active, Ordering::Release);
            if let Err(panic) = result {
                state.panic.get_or_insert(panic);
            }
            if state.active == 0 && state.awaited {
                self.done.notify_all();
            }
        }
    }
}

/// Looks for something a number of times.
fn look(found: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if found() {
            return;
        }
        std::hint::spin_loop();
    }
}

impl Pool {
    /// Starts `threads - 1` workers: the caller of [`Pool::run`] is the remaining thread.
    ///
    /// # Panics
    /// Panics when `threads` is 0 or above [`MAX_THREADS`], or the system refuses a thread.
    pub fn new(threads: usize) -> Self {
        assert!(
            (1..=MAX_THREADS).contains(&threads),
            "1 to {MAX_THREADS} threads, not {threads}"
        );
        if threads == 1 {
            return Self {
                shared: None,
                workers: Vec::new(),
            };
        }
        let state = State {
            job: None,
            epoch: 0,
            active: 0,
            asleep: 0,
            awaited: false,
            panic: None,
            closing: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
            next: (0..threads).map(|_| Next::default()).collect(),
            taken: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let workers = (1..threads)
            .map(|i| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("numerics-{i}"))
                    .spawn(move || shared.work(i))
                    .expect("invariant: the system can start the configured number of threads")
            })
            .collect();
        Self {
            shared: Some(shared),
            workers,
        }
    }

    /// Returns the number of threads, the caller's included.
    #[inline]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Chooses how many of `len` elements a thread takes at once: all when they are few, else so many
    /// that every thread gets some pieces, but not below `least` nor above `most`.
    pub(crate) fn share(&self, len: usize, [few, least, most]: [usize; 3]) -> usize {
        /// Is the number of pieces that each thread gets: one that is slower leaves some to others.
        const PIECES: usize = 4;
        /// Keeps pieces whole registers and cache lines.
        const LINES: usize = 64;
        if len <= few {
            return len.max(1);
        }
        let piece = len.div_ceil(PIECES * self.threads());
        piece.next_multiple_of(LINES).clamp(least, most)
    }

    /// Calls `f` once for every chunk number below `chunks`, on any thread, and waits for all.
    ///
    /// # Panics
    /// Passes on a panic of `f`, after every thread has stopped.
    pub fn run<F: Fn(usize) + Sync>(&self, chunks: usize, f: F) {
        let Some(shared) = self.shared.as_deref().filter(|_| chunks > 1) else {
            return (0..chunks).for_each(f);
        };
        if shared.taken.swap(true, Ordering::Acquire) {
            return (0..chunks).for_each(f);
        }
        unsafe fn call<F: Fn(usize) + Sync>(context: *const (), chunk: usize) {
            // SAFETY: `context` is the address of the `f` below, alive until `run` returns.
            let f = unsafe { &*context.cast::<F>() };
            f(chunk);
        }
        let context = std::ptr::from_ref(&f).cast();
        let job = Job {
            call: call::<F>,
            context,
            chunks,
        };
        {
            let mut state = shared.lock();
            for (thread, next) in shared.next.iter().enumerate() {
                let start = shared.share_start(job, thread);
                next.0.store(start, Ordering::Relaxed);
            }
            state.job = Some(job);
            state.epoch += 1;
            shared.epoch.store(state.epoch, Ordering::Release);
            match state.asleep {
                0 => {}
                _ if chunks > 2 => shared.work.notify_all(),
                _ => shared.work.notify_one(),
            }
        }
        let result = catch_unwind(AssertUnwindSafe(|| shared.drain(job, 0)));
        let mut state = shared.lock();
        // No worker enters from here on; those inside still use `f`.
        state.job = None;
        if state.active > 0 {
            drop(state);
            look(|| shared.active.load(Ordering::Acquire) == 0);
            state = shared.lock();
        }
        state.awaited = true;
        while state.active > 0 {
            state = shared
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited = false;
        let panic = result.err().or(state.panic.take());
        state.panic = None;
        drop(state);
        shared.taken.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Cuts `out` into pieces of `piece` elements (the last may be shorter) and calls
    /// `f(piece number, piece)` for each, on any thread.
    ///
    /// # Panics
    /// Panics when `piece` is 0; passes on a panic of `f`.
    pub fn run_pieces<T: Send, F: Fn(usize, &mut [T]) + Sync>(
        &self,
        out: &mut [T],
        piece: usize,
        f: F,
    ) {
        assert!(piece > 0, "a piece holds at least one element");
        let pieces = out.len().div_ceil(piece);
        if self.threads() == 1 || pieces < 2 {
            return out
                .chunks_mut(piece)
                .enumerate()
                .for_each(|(i, piece)| f(i, piece));
        }
        let whole = SharedSlice::new(out);
        self.run(pieces, |i| {
            let start = i * piece;
            let end = (start + piece).min(whole.len());
            // SAFETY: pieces are disjoint and every number is handed out once.
            f(i, unsafe { whole.part(start, end) });
        });
    }

    /// Cuts two outputs into equally many pieces and calls `f(piece number, a, b)` for each pair, on
    /// any thread.
    ///
    /// # Panics
    /// Panics when a piece size is 0 or the outputs give different numbers of pieces; passes on a
    /// panic of `f`.
    pub fn run_piece_pairs<A: Send, B: Send, F: Fn(usize, &mut [A], &mut [B]) + Sync>(
        &self,
        (a, piece_a): (&mut [A], usize),
        (b, piece_b): (&mut [B], usize),
        f: F,
    ) {
        assert!(piece_b > 0, "a piece holds at least one element");
        assert_eq!(a.len().div_ceil(piece_a), b.len().div_ceil(piece_b));
        let whole = SharedSlice::new(b);
        self.run_pieces(a, piece_a, |i, a| {
            let start = i * piece_b;
            let end = (start + piece_b).min(whole.len());
            // SAFETY: pieces are disjoint and every number is handed out once.
            f(i, a, unsafe { whole.part(start, end) });
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().closing = true;
            shared.closing.store(true, Ordering::Release);
            shared.work.notify_all();
        }
        for worker in self.workers.drain(..) {
            // A worker's panic was passed on by `run`; there is nothing left to report.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_exactly_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            for chunks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(chunks, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn pieces_are_disjoint_and_cover_the_output() {
        let pool = Pool::new(3);
        let mut out = vec![0usize; 1001];
        pool.run_pieces(&mut out, 10, |i, piece| {
            for (j, v) in piece.iter_mut().enumerate() {
                *v += i * 10 + j;
            }
        });
        assert!(out.iter().enumerate().all(|(i, v)| i == *v));
    }

    #[test]
    fn shares_lie_between_their_bounds() {
        let pool = Pool::new(2);
        for (len, want) in [(0, 1), (64, 64), (65, 64), (600, 128), (10_000, 200)] {
            assert_eq!(pool.share(len, [64, 32, 200]), want, "{len} elements");
        }
    }

    #[test]
    fn nested_calls_finish() {
        let pool = Pool::new(3);
        let total = AtomicUsize::new(0);
        pool.run(5, |_| {
            pool.run(5, |_| {
                total.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(total.load(Ordering::Relaxed), 25);
    }

    #[test]
    fn several_callers_share_one_pool() {
        let pool = Pool::new(2);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(8, |_| {
                            total.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 4 * 200 * 8);
    }

    #[test]
    fn a_panic_is_passed_on_and_the_pool_lives() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(16, |i| assert!(i != 7, "chunk seven"));
            }));
            assert!(result.is_err());
        }
        let total = AtomicUsize::new(0);
        pool.run(16, |_| {
            total.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(total.load(Ordering::Relaxed), 16);
    }
}
