//! A large file in parts (pure): how large they are, which are read and sent next, and what they make together.
//! Sheet section 7.
//!
//! A part is read twice: once in order, for the chained hash of the whole and the crc64 of the part, and once while it
//! is sent, when its crc64 must come out again. The second time it is in the memory of the system. So the parts can be
//! sent side by side, and what was read stays known when the process ends.

use std::collections::{BTreeMap, BTreeSet};

use super::words::End;
use crate::digest::{Hash, crc64_of_joined};
use crate::journal::PartRow;
use crate::mirror::step::{Arrived, Failure, Part, Step};

/// Most parts of one upload (sheet section 7).
const PARTS_MAX: u64 = 10_000;
/// Largest part (sheet section 7), in bytes.
const PART_MAX: u64 = 5 * 1024 * MIB;
const MIB: u64 = 1024 * 1024;
/// A broken connection costs one part: small enough for that, large enough for the calls.
const PART: u64 = 16 * MIB;
/// A file has so many parts at least, as long as each is 1 MiB.
const PARTS_MIN: u64 = 16;
/// Parts of one file that are sent at the same time.
const STREAMS: usize = 4;
/// Parts that are read before they can be sent. More might be out of the memory of the system by then.
const AHEAD: usize = 2;

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    size: u64,
    part_size: u64,
}

impl Plan {
    /// `None`: the service takes no file of that size.
    pub(super) fn new(size: u64) -> Option<Plan> {
        let wanted = (size / PARTS_MIN).clamp(MIB, PART).max(size.div_ceil(PARTS_MAX));
        // The chained hash goes on only from a whole MiB.
        let part_size = wanted.div_ceil(MIB) * MIB;
        (part_size <= PART_MAX && size > 0).then_some(Plan { size, part_size })
    }

    /// As an earlier run cut it. `None`: it did not, or not as it can be gone on with.
    pub(super) fn of_row(size: u64, part_size: Option<u64>) -> Option<Plan> {
        part_size
            .filter(|part_size| *part_size > 0 && part_size % MIB == 0 && size > 0)
            .map(|part_size| Plan { size, part_size })
    }

    /// Bytes of each part but the last.
    pub(super) fn part_size(self) -> u64 {
        self.part_size
    }

    pub(super) fn count(self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    fn part(self, number: u32) -> Part {
        let offset = u64::from(number - 1) * self.part_size;
        Part {
            number,
            of: self.count(),
            offset,
            len: self.part_size.min(self.size.saturating_sub(offset)),
        }
    }
}

/// Why no more parts are begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The file is not what it was: the upload is of no use.
    Useless(End),
    /// The upload stays as it is, for another time.
    Kept(End),
    /// The service does not know the upload any more.
    Lost(Failure),
}

/// What is known of a part that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Read {
    crc64: u64,
    /// Chained hash of the file up to the end of the part.
    full_hash: Hash,
}

/// The parts of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) confirm_key: String,
    plan: Plan,
    read: BTreeMap<u32, Read>,
    arrived: BTreeSet<u32>,
    sending: BTreeSet<u32>,
    reading: bool,
    /// Steps that are under way.
    running: usize,
    stop: Option<Stop>,
}

impl Parts {
    /// `rows`: what earlier runs read. `arrived`: parts that the service has, with their bytes.
    pub(super) fn new(
        confirm_key: String,
        plan: Plan,
        rows: &[PartRow],
        arrived: &[(u32, u64)],
    ) -> Parts {
        let known = 1..=plan.count();
        Parts {
            confirm_key,
            plan,
            read: rows
                .iter()
                .filter(|row| known.contains(&row.number))
                .map(|row| (row.number, Read { crc64: row.crc64, full_hash: row.full_hash }))
                .collect(),
            arrived: arrived
                .iter()
                // One of another length is no part of this file: it is sent again, over it.
                .filter(|(number, size)| known.contains(number) && plan.part(*number).len == *size)
                .map(|(number, _)| *number)
                .collect(),
            sending: BTreeSet::new(),
            reading: false,
            running: 0,
            stop: None,
        }
    }

    /// What the service has.
    pub(super) fn arrived(&self) -> Arrived {
        Arrived {
            parts: u32::try_from(self.arrived.len()).unwrap_or(u32::MAX),
            bytes: self.arrived.iter().map(|number| self.plan.part(*number).len).sum(),
        }
    }

    /// What was read.
    pub(super) fn rows(&self) -> Vec<PartRow> {
        self.read
            .iter()
            .map(|(number, read)| PartRow {
                number: *number,
                crc64: read.crc64,
                full_hash: read.full_hash,
            })
            .collect()
    }

    /// Connections that are in use.
    pub(super) fn streams(&self) -> usize {
        self.sending.len()
    }

    /// A part was read.
    pub(super) fn was_read(&mut self, number: u32, crc64: u64, full_hash: Hash) {
        self.reading = false;
        self.running = self.running.saturating_sub(1);
        self.read.insert(number, Read { crc64, full_hash });
    }

    /// A part was sent, and COS has it.
    pub(super) fn was_sent(&mut self, number: u32) {
        self.running = self.running.saturating_sub(1);
        self.sending.remove(&number);
        self.arrived.insert(number);
    }

    /// A step failed: no other is begun. The first reason counts.
    pub(super) fn failed(&mut self, why: Stop) {
        self.running = self.running.saturating_sub(1);
        self.stop(why);
    }

    /// No step is begun any more.
    pub(super) fn stop(&mut self, why: Stop) {
        self.stop.get_or_insert(why);
    }

    /// Why it is over, once nothing is under way any more.
    pub(super) fn stopped(&mut self) -> Option<Stop> {
        if self.running == 0 { self.stop.take() } else { None }
    }

    /// Full hash and crc64 of the whole, when all of it arrived.
    pub(super) fn complete(&self) -> Option<(Hash, u64)> {
        let count = self.plan.count();
        if self.arrived.len() < count as usize || self.read.len() < count as usize {
            return None;
        }
        let crc64 = self.read.iter().fold(0, |crc64, (number, read)| {
            crc64_of_joined(crc64, read.crc64, self.plan.part(*number).len)
        });
        self.read.get(&count).map(|last| (last.full_hash, crc64))
    }

    /// What to begin now, with so many connections at most.
    pub(super) fn begin(&mut self, streams: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.stop.is_some() {
            return steps;
        }
        let streams = streams.min(STREAMS);
        let open = |parts: &Parts, number: &u32| {
            !parts.arrived.contains(number) && !parts.sending.contains(number)
        };
        let ready: Vec<(u32, Read)> = self
            .read
            .iter()
            .filter(|(number, _)| open(self, number))
            .map(|(number, read)| (*number, *read))
            .take(STREAMS + AHEAD)
            .collect();
        let mut waiting = ready.len();
        let arrived = self.arrived();
        for (number, read) in ready {
            if self.sending.len() >= streams {
                break;
            }
            waiting -= 1;
            self.sending.insert(number);
            steps.push(Step::SendPart {
                confirm_key: self.confirm_key.clone(),
                part: self.plan.part(number),
                crc64: read.crc64,
                arrived,
            });
        }
        if !self.reading && waiting < AHEAD && streams > 0 {
            // All before the first that was not read were, so that the chain can go on.
            let next = (1..=self.plan.count()).find(|number| !self.read.contains_key(number));
            if let Some(number) = next {
                self.reading = true;
                let after = self.read.get(&(number - 1)).map(|read| read.full_hash);
                steps.push(Step::ReadPart { part: self.plan.part(number), after });
            }
        }
        self.running += steps.len();
        steps
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1024 * MIB;

    #[test]
    fn parts_are_within_the_limits_of_cos() {
        for (size, part_size, count) in [
            (1, MIB, 1),
            (8 * MIB, MIB, 8),
            (8 * MIB + 1, MIB, 9),
            (256 * MIB, 16 * MIB, 16),
            (6 * GIB, 16 * MIB, 384),
            (160_000 * MIB, 16 * MIB, 10_000),
            (160_000 * MIB + 1, 17 * MIB, 9_412),
            (10_000 * 5 * GIB, 5 * GIB, 10_000),
        ] {
            let plan = Plan::new(size).expect("a size that COS takes");
            assert_eq!((plan.part_size(), plan.count()), (part_size, count), "{size}");
        }
        assert_eq!(Plan::new(10_000 * 5 * GIB + 1), None);
    }

    proptest! {
        #[test]
        fn parts_cover_the_file_without_gaps(size in 1u64..20 * GIB) {
            let plan = Plan::new(size).expect("small enough");
            let mut end = 0;
            for number in 1..=plan.count() {
                let part = plan.part(number);
                prop_assert_eq!(part.offset, end);
                prop_assert!(part.len > 0 && part.len <= PART_MAX);
                prop_assert!(part.len >= MIB || number == plan.count());
                end += part.len;
            }
            prop_assert_eq!(end, size);
        }

        /// Whatever arrived and was read before, and in whatever order steps end: each part that is missing is sent
        /// once, each that was not read is read once, in order, and never more than allowed is under way.
        #[test]
        fn what_is_missing_is_sent_once(
            mib in 1u64..40,
            arrived in proptest::collection::btree_set(1u32..50, 0..40),
            read in proptest::collection::btree_set(1u32..50, 0..40),
            streams in 1usize..8,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let plan = Plan::of_row(mib * MIB, Some(MIB)).expect("a plan");
            let hash = |number: u32| Hash::from_bytes([u8::try_from(number % 251).expect("small"); 32]);
            let row = |number: &u32| PartRow { number: *number, crc64: 7, full_hash: hash(*number) };
            let rows: Vec<PartRow> = read.iter().map(row).collect();
            let listed: Vec<(u32, u64)> = arrived.iter().map(|number| (*number, MIB)).collect();
            let mut parts = Parts::new("k".into(), plan, &rows, &listed);
            let (mut sent, mut hashed) = (Vec::new(), Vec::new());
            let mut under_way = parts.begin(streams);
            for pick in order {
                if under_way.is_empty() {
                    break;
                }
                prop_assert!(parts.streams() <= streams.min(STREAMS));
                match under_way.remove(pick.index(under_way.len())) {
                    Step::SendPart { part, .. } => {
                        sent.push(part.number);
                        parts.was_sent(part.number);
                    }
                    Step::ReadPart { part, after } => {
                        prop_assert_eq!(after, (part.number > 1).then(|| hash(part.number - 1)));
                        hashed.push(part.number);
                        parts.was_read(part.number, 7, hash(part.number));
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                under_way.extend(parts.begin(streams));
            }
            prop_assert!(under_way.is_empty() && parts.complete().is_some());
            sent.sort_unstable();
            let missing = |had: &BTreeSet<u32>| -> Vec<u32> {
                (1..=plan.count()).filter(|number| !had.contains(number)).collect()
            };
            prop_assert_eq!(sent, missing(&arrived));
            prop_assert_eq!(hashed, missing(&read));
        }
    }
}
