//! The limit of the bandwidth: what a person sets is kept, and slow uploads are few.

use super::{Core, Work};
use crate::clock::Now;
use crate::config::{BandwidthLimit, Rate};
use crate::journal::{JournalError, Kept, Turn};
use crate::mirror::facts::Effect;

/// Each upload under way gets at least so many bytes a second of the limit. A form ends ten minutes after it was handed
/// out (sheet section 3): shared by too many uploads, a low limit would let all of them come too late.
const SHARE: u64 = 16 * 1024;
/// And yet a large file keeps no small ones waiting.
const LEAST: usize = 4;

/// The limit that a person set, or that of the configuration.
pub(super) fn in_force(
    turn: &Turn<'_>,
    configured: &BandwidthLimit,
) -> Result<BandwidthLimit, JournalError> {
    let Some(text) = turn.kept(Kept::BandwidthLimit)? else { return Ok(configured.clone()) };
    Ok(BandwidthLimit::parse(&text).unwrap_or_else(|error| {
        tracing::warn!("the limit of the bandwidth that was set is not understood ({error}); that of the configuration holds");
        configured.clone()
    }))
}

/// Uploads at the same time under a limit (pure).
fn slots(rate: Rate) -> usize {
    rate.map_or(usize::MAX, |rate| {
        usize::try_from(rate.get() / SHARE).unwrap_or(usize::MAX).max(LEAST)
    })
}

impl Core {
    /// A person sets another limit; `None`: that of the configuration again.
    pub(super) fn limited(
        &mut self,
        work: &mut Work<'_>,
        limit: Option<&BandwidthLimit>,
    ) -> Result<(), JournalError> {
        let text = limit.map(BandwidthLimit::to_string);
        work.turn.keep(Kept::BandwidthLimit, text.as_deref())?;
        self.bandwidth_limit = limit.unwrap_or(&self.settings.bandwidth_limit).clone();
        work.out.effects.push(Effect::Limit(self.bandwidth_limit.clone()));
        Ok(())
    }

    /// Uploads that may run at the same time as far as the limit, and what COS bears, are concerned.
    pub(super) fn upload_slots(&self, now: Now) -> usize {
        let limit = slots(self.rate(now));
        limit.min(self.limits.upload_slots(now.mono_ms))
    }

    /// The bytes a second that a person allows now, if there is a limit.
    pub(super) fn rate(&self, now: Now) -> Rate {
        self.bandwidth_limit.at(now.unix_ms, &self.settings.zone).rate
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_low_limit_is_shared_by_few() {
        for (kib, expected) in [(1, 4), (64, 4), (256, 16), (1024, 64)] {
            assert_eq!(slots(NonZeroU64::new(kib << 10)), expected, "{kib} KiB/s");
        }
        assert_eq!(slots(None), usize::MAX);
    }
}
