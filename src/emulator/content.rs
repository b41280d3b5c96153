//! What the library knows of a content: computed while it arrives. Sheet sections 3 and 4.

use std::fs::File;
use std::io::{Seek, Write};

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
    pub(super) full_hash: String,
    pub(super) crc64: u64,
    pub(super) md5: String,
}

/// Computes the sums of a content that comes in pieces.
pub(super) struct Summing {
    chained: Chained,
    md5: Md5,
}

impl Summing {
    pub(super) fn new() -> Summing {
        Summing { chained: Chained::new(), md5: Md5::new() }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        self.chained.add(piece);
    }

    pub(super) fn done(self) -> Sums {
        self.chained.done(hex::encode(self.md5.finalize()))
    }
}

/// The same without the MD5, which COS does not know of a content that came in parts.
#[derive(Clone)]
pub(super) struct Chained {
    size: u64,
    chain: Sha256,
    in_block: u64,
    beginning: Option<String>,
    crc: Crc,
}

impl Chained {
    pub(super) fn new() -> Chained {
        Chained {
            size: 0,
            chain: Sha256::new(),
            in_block: 0,
            beginning: None,
            crc: Crc::new(CrcAlgorithm::Crc64Xz),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        self.crc.update(piece);
        let mut rest = piece;
        while !rest.is_empty() {
            // A block is closed when the next one begins: the last may be full.
            if self.in_block == MIB {
                let link = std::mem::take(&mut self.chain).finalize();
                if self.beginning.is_none() {
                    self.beginning = Some(hex::encode(link));
                }
                self.chain.update(link);
                self.in_block = 0;
            }
            let fits = usize::try_from(MIB - self.in_block).unwrap_or(usize::MAX).min(rest.len());
            let (head, tail) = rest.split_at(fits);
            self.chain.update(head);
            self.in_block += fits as u64;
            rest = tail;
        }
    }

    /// `md5`: what stands for the MD5 of the content.
    pub(super) fn done(self, md5: String) -> Sums {
        let full_hash = hex::encode(self.chain.finalize());
        Sums {
            size: self.size,
            beginning_hash: self.beginning.unwrap_or_else(|| full_hash.clone()),
            full_hash,
            crc64: self.crc.finalize(),
            md5,
        }
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
            assert_eq!((sums.full_hash.as_str(), sums.crc64), (full, crc64), "{len}");
        }
    }
}
