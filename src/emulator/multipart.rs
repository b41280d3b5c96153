//! Parts of a multipart upload: which numbers, which arrived, and joining them. Sheet section 7.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};

use serde_json::{Value, json};

use super::content::{MIB, Summing, Sums};
use super::reply::{Refusal, refuse};
use super::store::{Store, Upload};
use super::time::iso;

/// Part numbers in one request.
const RANGE_MAX: usize = 100;
/// Parts of one upload.
pub(super) const PARTS_MAX: u32 = 10_000;

/// `"1-50"`, `"1,3-5"` or `[1, 2, 3]`; `None`: the old dialect.
pub(super) fn part_numbers(range: Option<&Value>) -> Result<Option<BTreeSet<u32>>, Refusal> {
    let invalid = || refuse(400, "ParamInvalid", "partNumberRange is not a list of part numbers");
    let mut numbers = BTreeSet::new();
    match range {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => {
            for number in list {
                let number =
                    number.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(invalid)?;
                numbers.insert(number);
            }
        }
        Some(Value::String(text)) => {
            for piece in text.split(',') {
                let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
                let from: u32 = from.trim().parse().map_err(|_| invalid())?;
                let to: u32 = to.trim().parse().map_err(|_| invalid())?;
                if to < from || (to - from) as usize >= RANGE_MAX {
                    return Err(invalid());
                }
                numbers.extend(from..=to);
            }
        }
        Some(_) => return Err(invalid()),
    }
    let fits = (1..=RANGE_MAX).contains(&numbers.len());
    if !fits || numbers.iter().any(|n| *n == 0 || *n > PARTS_MAX) {
        return Err(invalid());
    }
    Ok(Some(numbers))
}

/// The parts that arrived.
pub(super) fn describe(upload: &Upload) -> Value {
    upload
        .parts
        .iter()
        .map(|(number, (sums, at_ms))| {
            json!({
                "PartNumber": number,
                "LastModified": iso(*at_ms),
                "ETag": format!("\"{}\"", sums.md5),
                "Size": sums.size,
            })
        })
        .collect()
}

/// Joins the parts into one content, if there are no gaps and none is too small.
pub(super) fn join(store: &Store, upload: &Upload) -> Result<Sums, Refusal> {
    let gapless = upload.parts.keys().zip(1..).all(|(number, wanted)| *number == wanted);
    if upload.parts.is_empty() || !gapless {
        return Err(refuse(400, "MultipartUploadIncomplete", "parts are missing"));
    }
    let last = upload.parts.len();
    if upload.parts.values().take(last - 1).any(|(sums, _)| sums.size < MIB) {
        return Err(refuse(400, "MultipartUploadPartTooSmall", "a part is smaller than 1 MiB"));
    }
    let mut summing = Summing::new();
    let mut joined = File::create(store.pending(&upload.cos_key, None))?;
    let mut buffer = vec![0; 256 * 1024];
    for number in upload.parts.keys() {
        let mut part = File::open(store.pending(&upload.cos_key, Some(*number)))?;
        loop {
            let len = part.read(&mut buffer)?;
            let piece = buffer.get(..len).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            summing.add(piece);
            joined.write_all(piece)?;
        }
    }
    Ok(summing.done())
}
