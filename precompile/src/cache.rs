//! A map bounded by bytes that forgets what was used longest ago.
//!
//! Recency decides only what must be computed again, never an answer or a charge.

use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;

/// Keeps values up to a number of bytes.
pub struct Cache<K, V> {
    limit_bytes: u64,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    entries: LruCache<K, Entry<V>>,
    bytes: u64,
    hits: u64,
    misses: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
}

/// Counts what a cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Lookups that found their value.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("limit_bytes", &self.limit_bytes)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Makes an empty cache of at most `limit_bytes`; 0 switches it off.
    pub fn new(limit_bytes: u64) -> Self {
        let inner = Inner {
            entries: LruCache::new_unbounded(),
            bytes: 0,
            hits: 0,
            misses: 0,
        };
        Cache {
            limit_bytes,
            inner: Mutex::new(inner),
        }
    }

    /// Finds a value and marks it as just used.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.lock();
        let value = inner.entries.get(key).map(|entry| entry.value.clone());
        match value {
            Some(_) => inner.hits += 1,
            None => inner.misses += 1,
        }
        value
    }

    /// Keeps a value of a size, forgetting the longest unused ones; larger than the limit it is not
    /// kept at all.
    pub fn insert(&self, key: K, value: V, bytes: u64) {
        if bytes > self.limit_bytes {
            return;
        }
        let mut inner = self.lock();
        if let Some(before) = inner.entries.insert(key, Entry { value, bytes }) {
            inner.bytes -= before.bytes;
        }
        inner.bytes += bytes;
        // The entry itself is the newest and fits, so it stays.
        while inner.bytes > self.limit_bytes {
            let Some((_, oldest)) = inner.entries.remove_lru() else {
                break;
            };
            inner.bytes -= oldest.bytes;
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.bytes = 0;
    }

    /// Counts entries, bytes, hits and misses.
    pub fn usage(&self) -> Usage {
        let inner = self.lock();
        Usage {
            entries: inner.entries.len() as u64,
            bytes: inner.bytes,
            hits: inner.hits,
            misses: inner.misses,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        // Values are cloned out; no code that can panic runs under the lock half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_longest_unused_first() {
        let cache = Cache::new(30);
        cache.insert(1, "a", 10);
        cache.insert(2, "b", 10);
        cache.insert(3, "c", 10);
        assert_eq!(cache.get(&1), Some("a"));
        cache.insert(4, "d", 10);
        assert_eq!(cache.get(&2), None);
        assert_eq!(
            (cache.get(&1), cache.get(&3), cache.get(&4)),
            (Some("a"), Some("c"), Some("d"))
        );
        assert_eq!(
            cache.usage(),
            Usage {
                entries: 3,
                bytes: 30,
                hits: 4,
                misses: 1
            }
        );
    }

    #[test]
    fn never_holds_more_than_its_limit() {
        let cache = Cache::new(100);
        for key in 0..1_000u64 {
            cache.insert(key % 37, key, key % 51);
            assert!(cache.usage().bytes <= 100);
        }
        cache.insert(5, 5, 101);
        assert_ne!(cache.get(&5), Some(5));
        let off = Cache::new(0);
        off.insert(1, 1, 1);
        assert_eq!(off.get(&1), None);
    }
}
