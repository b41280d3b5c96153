//! Work that may panic (shell): whoever waits for its fact gets one all the same. Without it a slot, a scan or the
//! prober would be taken for ever, and the daemon would stand still without a word.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// What people are told.
pub(super) const UNEXPECTED: &str = "it failed unexpectedly; please report this";

/// Runs a task to its end, or to `failed`.
///
/// Nothing of what it worked with is used after a panic, but locks, whose poison is ignored because each holds a
/// single map. It is boxed here: every wrapper around a future holds it twice, and a step is some kilobytes large, which
/// would be copied half a dozen times until it runs.
pub(super) fn task<T>(
    work: impl Future<Output = T>,
    failed: impl FnOnce() -> T,
) -> impl Future<Output = T> {
    let work = AssertUnwindSafe(Box::pin(work)).catch_unwind();
    async move { work.await.unwrap_or_else(|_| failed()) }
}

/// The same for what blocks.
pub(super) fn blocking<T>(work: impl FnOnce() -> T, failed: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome() {
        let work = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
            1
        };
        assert_eq!(task(work, || 2).await, 2);
        assert_eq!(task(async { 1 }, || 2).await, 1);
        assert_eq!(blocking(|| panic!("on purpose"), || 2), 2);
        assert_eq!(blocking(|| 1, || 2), 1);
    }
}
