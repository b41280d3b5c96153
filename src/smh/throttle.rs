//! The limit of the bandwidth that all uploads share (shell): who wants to send asks first.
//!
//! What the limit is, and at what time, is told from above and asked for at every piece, so a timetable needs no
//! timer. Nobody holds anything while waiting: an upload that hangs, or is abandoned, keeps no other one from sending.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::bucket::{Bucket, piece};
use crate::clock::{Clock, Now};

/// Bytes per second at a time in milliseconds since the Unix epoch; `None`: as many as there are.
type Limit = Box<dyn Fn(i64) -> Option<NonZeroU64> + Send>;

/// A limit of the bandwidth. Clones share it.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    /// The limit became another one: who sleeps asks again.
    changed: Notify,
}

struct State {
    limit: Limit,
    rate: Option<NonZeroU64>,
    bucket: Bucket,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("rate", &self.0.lock().rate).finish_non_exhaustive()
    }
}

impl Throttle {
    /// Lets everything through, until [`Throttle::set`].
    #[must_use]
    pub fn new(clock: Clock) -> Throttle {
        let state = State { limit: Box::new(|_| None), rate: None, bucket: Bucket::default() };
        Throttle(Arc::new(Inner { clock, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Another limit from now on, for uploads that are under way too.
    pub fn set(&self, limit: impl Fn(i64) -> Option<NonZeroU64> + Send + 'static) {
        self.0.lock().limit = Box::new(limit);
        self.rate();
    }

    /// The bytes per second that hold now; `None`: as many as there are.
    pub fn rate(&self) -> Option<NonZeroU64> {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        let rate = (state.limit)(now.unix_ms);
        if rate != state.rate {
            state.rate = rate;
            // Places that were taken under the other limit are void.
            state.bucket = Bucket::new(ns(now));
            self.0.changed.notify_waiters();
        }
        rate
    }

    /// The most bytes that should be sent at a time, so that they flow; `None`: any number.
    pub fn piece(&self) -> Option<u64> {
        self.rate().map(piece)
    }

    /// Waits until `bytes` may be sent. Uploads that wait go in turns, a piece each.
    pub async fn take(&self, bytes: u64) {
        let mut left = bytes;
        while left > 0 {
            let Some(most) = self.piece() else { return };
            let now = left.min(most);
            self.wait_for(now).await;
            left -= now;
        }
    }

    /// Waits for one piece.
    async fn wait_for(&self, bytes: u64) {
        loop {
            self.rate();
            // Before a place is taken: a change in between is heard.
            let changed = self.0.changed.notified();
            let wait = self.0.reserve(bytes);
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => return,
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, bytes: u64) -> Duration {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(rate) = state.rate else { return Duration::ZERO };
        Duration::from_nanos(state.bucket.take(bytes, rate, ns(now)))
    }
}

fn ns(now: Now) -> i64 {
    now.mono_ms.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(bytes_a_second: u64) -> Throttle {
        let throttle = Throttle::new(Clock::start());
        throttle.set(move |_| NonZeroU64::new(bytes_a_second));
        throttle
    }

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        let throttle = Throttle::new(Clock::start());
        throttle.take(u64::MAX).await;
        assert_eq!(throttle.piece(), None);
    }

    #[tokio::test]
    async fn all_who_send_share_one_limit() {
        let throttle = limited(1 << 20);
        let began = throttle.0.clock.now().mono_ms;
        let takers = (0..4).map(|_| throttle.take(128 << 10));
        futures_util::future::join_all(takers).await;
        // Half a MiB at one MiB a second; a tenth of a second may be made up for, and a piece begins at once.
        assert!(throttle.0.clock.now().mono_ms - began >= 300);
    }

    #[tokio::test]
    async fn another_limit_counts_for_who_waits_already() {
        // At this one it would take more than an hour.
        let throttle = limited(1024);
        let waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.take(4 << 20).await }
        });
        tokio::task::yield_now().await;
        throttle.set(|_| None);
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_keeps_nobody_from_sending() {
        let throttle = limited(100 << 10);
        let mut gone = Box::pin(throttle.take(1 << 30));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        drop(gone);
        tokio::time::timeout(Duration::from_secs(30), throttle.take(10 << 10)).await.unwrap();
    }
}
