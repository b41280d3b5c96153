//! The digests that SMH and COS ask for, computed together in one pass (pure).

use crc_fast::{CrcAlgorithm, Digest as Crc};
use sha2::{Digest as _, Sha256};

use super::Hash;

/// Length of the beginning, and of each block of the chain, in bytes (sheet, section 3).
pub const BEGINNING_LEN: u64 = 1024 * 1024;

/// What is known of a content after one pass over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the first MiB.
    pub beginning: Hash,
    /// SMH's chained SHA-256 of everything.
    pub full: Hash,
    /// CRC-64/XZ of everything.
    pub crc64: u64,
}

/// Takes a content in pieces of any size.
///
/// The chain of SMH: `h` is the SHA-256 of the first MiB, and with each following MiB it becomes the
/// SHA-256 of the raw bytes of `h` and the block (sheet, section 3).
#[derive(Debug, Clone)]
pub struct Digester {
    size: u64,
    block: Sha256,
    /// Bytes of content in `block`; less than a full block unless the content ends on a boundary.
    block_len: u64,
    beginning: Option<Hash>,
    crc: Crc,
}

impl Default for Digester {
    fn default() -> Digester {
        Digester::new()
    }
}

impl Digester {
    /// An empty content.
    #[must_use]
    pub fn new() -> Digester {
        Digester {
            size: 0,
            block: Sha256::new(),
            block_len: 0,
            beginning: None,
            crc: Crc::new(CrcAlgorithm::Crc64Xz),
        }
    }

    /// Goes on after a first piece of a content, which ended on a boundary of the chain and has the full hash `full`.
    /// The full hash will be that of all of the content; size and crc64 are those of what follows
    /// (see [`crc64_of_joined`]), and the beginning means nothing.
    #[must_use]
    pub fn after(full: Hash) -> Digester {
        let mut digester = Digester::new();
        digester.block.update(full.as_bytes());
        digester
    }

    /// The content goes on with `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.crc.update(bytes);
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.block_len == BEGINNING_LEN {
                self.close_block();
            }
            let room = usize::try_from(BEGINNING_LEN - self.block_len).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.block_len += now.len() as u64;
            bytes = later;
        }
    }

    /// A full block ends and another byte follows: its hash opens the next one.
    fn close_block(&mut self) {
        let hash = std::mem::take(&mut self.block).finalize();
        self.beginning.get_or_insert(Hash::from_bytes(hash.into()));
        self.block.update(hash);
        self.block_len = 0;
    }

    /// The content ends here.
    #[must_use]
    pub fn finish(self) -> Digest {
        let full = Hash::from_bytes(self.block.finalize().into());
        Digest {
            size: self.size,
            beginning: self.beginning.unwrap_or(full),
            full,
            crc64: self.crc.finalize(),
        }
    }
}

/// CRC-64/XZ alone, of a content in pieces of any size.
#[derive(Debug, Clone)]
pub struct Crc64(Crc);

impl Default for Crc64 {
    fn default() -> Crc64 {
        Crc64(Crc::new(CrcAlgorithm::Crc64Xz))
    }
}

impl Crc64 {
    /// The content goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The content ends here.
    #[must_use]
    pub fn finish(self) -> u64 {
        self.0.finalize()
    }
}

/// The CRC-64 of two contents joined, the second of which has `second_len` bytes.
#[must_use]
pub fn crc64_of_joined(first: u64, second: u64, second_len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Xz, first, second, second_len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| u8::try_from((31 * i + 7) % 256).expect("below 256")).collect()
    }

    fn digest(bytes: &[u8]) -> Digest {
        let mut digester = Digester::new();
        digester.update(bytes);
        digester.finish()
    }

    #[test]
    fn agrees_with_the_vectors_of_the_service() {
        let one_mib = "06b7bbfb7824aa03382051691630eb26de85102d1b08a81e907ec0744cd8a286";
        let vectors: [(usize, &str, &str, u64); 6] = [
            (
                0,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                0,
            ),
            (
                1,
                "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879",
                "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879",
                2_582_559_429_254_684_254,
            ),
            (
                4096,
                "d41d438c379110c7f7b2c561b1f04f26c1b4549110791f8e022f48974280c13e",
                "d41d438c379110c7f7b2c561b1f04f26c1b4549110791f8e022f48974280c13e",
                14_956_958_305_082_185_438,
            ),
            (1_048_576, one_mib, one_mib, 1_437_597_758_835_265_169),
            (
                1_048_577,
                one_mib,
                "a503059a2c7b69499c57d5696bfd9a1dbf0fcef2587123f396e628ec2401ee3c",
                2_602_325_573_369_720_372,
            ),
            (
                3_670_016,
                one_mib,
                "397585a87fc7207a5c8cb0e5980499814413c748e4b2ead94905b4482bd11da0",
                776_373_452_887_897_649,
            ),
        ];
        for (len, beginning, full, crc64) in vectors {
            let got = digest(&content(len));
            assert_eq!(got.size, len as u64);
            assert_eq!(got.beginning.to_string(), beginning, "beginning of {len}");
            assert_eq!(got.full.to_string(), full, "full hash of {len}");
            assert_eq!(got.crc64, crc64, "crc64 of {len}");
        }
    }

    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(digest(b"123456789").crc64, 11_051_210_869_376_104_954);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn pieces_do_not_matter(
            len in 0usize..3_500_000,
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = content(len);
            let mut marks: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
            marks.sort_unstable();
            let mut pieces = Digester::new();
            let mut from = 0;
            for mark in marks {
                pieces.update(&bytes[from..mark]);
                from = mark;
            }
            pieces.update(&bytes[from..]);
            prop_assert_eq!(pieces.finish(), digest(&bytes));
        }

        #[test]
        fn parts_make_the_whole(blocks in proptest::collection::vec(1usize..4, 1..5), rest in 0usize..1_048_577) {
            let lens = blocks.iter().map(|mib| mib * 1_048_576).chain((rest > 0).then_some(rest));
            let lens: Vec<usize> = lens.collect();
            let bytes = content(lens.iter().sum());
            let (mut from, mut full, mut crc64) = (0, None, 0);
            for len in lens {
                let mut part = full.map_or_else(Digester::new, Digester::after);
                part.update(&bytes[from..from + len]);
                from += len;
                let part = part.finish();
                prop_assert_eq!(part.size, len as u64);
                full = Some(part.full);
                crc64 = crc64_of_joined(crc64, part.crc64, len as u64);
            }
            let whole = digest(&bytes);
            prop_assert_eq!((full, crc64), (Some(whole.full), whole.crc64));
        }

        #[test]
        fn the_crc_agrees_with_another_library(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let oracle = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
            prop_assert_eq!(digest(&bytes).crc64, oracle.checksum(&bytes));
        }
    }
}
