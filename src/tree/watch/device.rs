//! Filesystems that never tell (pure): whatever a table of their numbers says, one that was never heard of although
//! changes were found on it again and again is not worth watching.

use std::collections::HashMap;

/// Full scans that found what nobody told of, before a filesystem is taken for silent.
const STRIKES: u32 = 2;

/// The filesystems that directories are watched on.
#[derive(Debug, Default)]
pub(super) struct Devices {
    all: Vec<Device>,
    by_number: HashMap<u64, u32>,
}

#[derive(Debug, Default)]
struct Device {
    heard: bool,
    strikes: u32,
    /// The scan of the last strike.
    last: Option<(usize, u32)>,
    silent: bool,
}

impl Devices {
    /// Where the filesystem with this number stands here.
    pub(super) fn index(&mut self, number: u64) -> u32 {
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let index = *self.by_number.entry(number).or_insert(next);
        if index == next {
            self.all.push(Device::default());
        }
        index
    }

    pub(super) fn is_silent(&self, number: u64) -> bool {
        self.by_number
            .get(&number)
            .and_then(|index| self.all.get(*index as usize))
            .is_some_and(|device| device.silent)
    }

    /// Something was heard: what else is missed, a memory map for example, is missed for other reasons.
    pub(super) fn heard(&mut self, index: u32) {
        if let Some(device) = self.all.get_mut(index as usize) {
            device.heard = true;
        }
    }

    /// A scan found a change that nobody told of. Whether the filesystem is silent from now on.
    pub(super) fn missed(&mut self, index: u32, scan: (usize, u32)) -> bool {
        let Some(device) = self.all.get_mut(index as usize) else { return false };
        if device.heard || device.silent || device.last == Some(scan) {
            return false;
        }
        device.last = Some(scan);
        device.strikes += 1;
        device.silent = device.strikes >= STRIKES;
        device.silent
    }

    /// The numbers may stand for others now.
    pub(super) fn forget(&mut self) {
        for device in &mut self.all {
            *device = Device::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_heard_of_is_silent() {
        let mut devices = Devices::default();
        let (one, other) = (devices.index(7), devices.index(8));
        assert_eq!(devices.index(7), one);
        assert!(!devices.missed(one, (0, 1)));
        assert!(!devices.missed(one, (0, 1)), "many files of one scan are one strike");
        assert!(!devices.is_silent(7));
        assert!(devices.missed(one, (0, 2)));
        assert!(devices.is_silent(7));
        assert!(!devices.is_silent(8));
        devices.heard(other);
        for scan in 0..9 {
            assert!(!devices.missed(other, (0, scan)));
        }
        devices.forget();
        assert!(!devices.is_silent(7));
    }
}
