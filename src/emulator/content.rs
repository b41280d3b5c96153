//! What the library knows of a content: computed while it arrives, but for the full hash of what is large. Sheet
//! sections 3 and 4.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) const MIB: u64 = 1 << 20;

/// Size and sums of a content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) size: u64,
    pub(super) beginning_hash: String,
    /// The chained hash of all of it; `None`: it is larger than the beginning, and nobody asked yet. Few contents are
    /// ever asked for by their hash, and all would pay for it.
    pub(super) full_hash: Option<String>,
    pub(super) crc64: u64,
    pub(super) md5: String,
}

/// Computes the sums of a content that comes in pieces.
pub(super) struct Summing {
    joining: Joining,
    md5: Md5,
}

impl Summing {
    pub(super) fn new() -> Summing {
        Summing { joining: Joining::new(), md5: Md5::new() }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        self.joining.add(piece);
    }

    pub(super) fn done(self) -> Sums {
        self.joining.done(hex::encode(self.md5.finalize()))
    }
}

/// The same without the MD5, which COS does not know of a content that came in parts.
#[derive(Clone)]
pub(super) struct Joining {
    size: u64,
    beginning: Sha256,
    crc: Crc,
}

impl Joining {
    pub(super) fn new() -> Joining {
        Joining { size: 0, beginning: Sha256::new(), crc: Crc::new(CrcAlgorithm::Crc64Xz) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        let fits = usize::try_from(MIB.saturating_sub(self.size)).unwrap_or(usize::MAX);
        self.beginning.update(piece.get(..fits).unwrap_or(piece));
        self.size += piece.len() as u64;
        self.crc.update(piece);
    }

    /// `md5`: what stands for the MD5 of the content.
    pub(super) fn done(self, md5: String) -> Sums {
        let beginning_hash = hex::encode(self.beginning.finalize());
        Sums {
            size: self.size,
            full_hash: (self.size <= MIB).then(|| beginning_hash.clone()),
            beginning_hash,
            crc64: self.crc.finalize(),
            md5,
        }
    }
}

/// The full hash of a stored content: that of each MiB with the hash of what comes before it, in raw bytes, in front.
pub(super) fn full_hash(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut block = Vec::new();
    let mut link: Option<Vec<u8>> = None;
    loop {
        block.clear();
        (&mut file).take(MIB).read_to_end(&mut block)?;
        // Nothing has a hash too; but behind a content that ends on a boundary there is no empty block.
        if block.is_empty()
            && let Some(link) = link
        {
            return Ok(hex::encode(link));
        }
        let mut hash = Sha256::new();
        hash.update(link.as_deref().unwrap_or_default());
        hash.update(&block);
        link = Some(hash.finalize().to_vec());
    }
}

/// Writes a piece of a content. Zeros take no room: whoever wrote the last piece sets the length.
pub(super) fn write_piece(file: &mut File, piece: &[u8]) -> std::io::Result<()> {
    static ZEROS: [u8; 4096] = [0; 4096];
    if piece.chunks(ZEROS.len()).all(|some| ZEROS.starts_with(some)) {
        let len = i64::try_from(piece.len()).map_err(std::io::Error::other)?;
        return file.seek_relative(len);
    }
    file.write_all(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the sheet, section 3.
    #[test]
    fn vectors() {
        let cases = [
            (
                1,
                "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879",
                2_582_559_429_254_684_254,
            ),
            (
                4096,
                "d41d438c379110c7f7b2c561b1f04f26c1b4549110791f8e022f48974280c13e",
                14_956_958_305_082_185_438,
            ),
            (
                1_048_577,
                "a503059a2c7b69499c57d5696bfd9a1dbf0fcef2587123f396e628ec2401ee3c",
                2_602_325_573_369_720_372,
            ),
            (
                3_670_016,
                "397585a87fc7207a5c8cb0e5980499814413c748e4b2ead94905b4482bd11da0",
                776_373_452_887_897_649,
            ),
        ];
        for (len, full, crc64) in cases {
            let bytes: Vec<u8> = (0..len).map(|i: usize| ((31 * i + 7) % 256) as u8).collect();
            let mut summing = Summing::new();
            for piece in bytes.chunks(70_001) {
                summing.add(piece);
            }
            let sums = summing.done();
            let stored = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(stored.path(), &bytes).expect("written");
            let hash = full_hash(stored.path()).expect("read");
            assert_eq!((hash.as_str(), sums.crc64), (full, crc64), "{len}");
            let small = bytes.len() as u64 <= MIB;
            assert_eq!(sums.full_hash.as_deref(), small.then_some(full), "{len}");
        }
    }
}
