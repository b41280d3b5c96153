//! Parts of a multipart upload: which numbers, which arrived, and joining them. Sheet section 7.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::PoisonError;

use crc_fast::{CrcAlgorithm, Digest as Crc};
use serde_json::{Value, json};

use super::content::{Joining, MIB, Sums, write_piece};
use super::joined::Joined;
use super::reply::{Refusal, refuse};
use super::store::{Store, Upload};
use super::time::iso;

/// Part numbers in one request.
const RANGE_MAX: usize = 100;
/// Parts of one upload.
pub(super) const PARTS_MAX: u32 = 10_000;
/// Parts that are joined on the arrival of one: more than one, to catch up, and few enough for the answer not to be late.
const AHEAD: usize = 8;
/// Bytes read at once.
const PIECE: usize = 256 * 1024;

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

/// Appends what follows, at most so many parts. After an error it begins with the first again.
fn append_next(
    joined: &mut Joined,
    store: &Store,
    upload: &Upload,
    most: usize,
) -> std::io::Result<()> {
    let appended = try_append_next(joined, store, upload, most);
    if appended.is_err() {
        *joined = Joined::default();
    }
    appended
}

fn try_append_next(
    joined: &mut Joined,
    store: &Store,
    upload: &Upload,
    most: usize,
) -> std::io::Result<()> {
    let path = store.pending(&upload.cos_key, None);
    let there = fs::metadata(&path).map_or(0, |facts| facts.len());
    let still = upload.parts.values().map(|(sums, _)| sums);
    if there < joined.chained.size() || !still.take(joined.parts.len()).eq(&joined.parts) {
        *joined = Joined::default();
    }
    let next = upload.parts.iter().zip(1..).take_while(|((number, _), at)| *number == at);
    let next: Vec<(u32, &Sums)> = next
        .map(|((number, (sums, _)), _)| (*number, sums))
        .skip(joined.parts.len())
        .take(most)
        .collect();
    if next.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    // Less what a try that failed left.
    file.set_len(joined.chained.size())?;
    file.seek(SeekFrom::End(0))?;
    for (number, sums) in next {
        let part = store.pending(&upload.cos_key, Some(number));
        append(&part, sums, &mut joined.chained, &mut file)?;
        joined.parts.push(sums.clone());
    }
    file.set_len(joined.chained.size())
}

/// Appends a part to what is joined, if it is the one with these sums.
fn append(part: &Path, sums: &Sums, chained: &mut Joining, file: &mut File) -> std::io::Result<()> {
    let mut part = File::open(part)?;
    let before = chained.size();
    let mut crc = Crc::new(CrcAlgorithm::Crc64Xz);
    let mut buffer = vec![0; PIECE];
    loop {
        let len = part.read(&mut buffer)?;
        let piece = buffer.get(..len).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        crc.update(piece);
        chained.add(piece);
        write_piece(file, piece)?;
    }
    if chained.size() - before != sums.size || crc.finalize() != sums.crc64 {
        return Err(std::io::Error::other("a part came again meanwhile"));
    }
    Ok(())
}

/// After a part arrived: appends to the first ones what follows them, so that little is left to do at the confirm. Who
/// waits for that is whoever sent the part; nobody waits for another one who does it.
pub(super) fn join_some(store: &Store, upload: &Upload) {
    let joined = store.joined(&upload.cos_key);
    if let Ok(mut joined) = joined.try_lock()
        && let Err(error) = append_next(&mut joined, store, upload, AHEAD)
    {
        // The confirm does it again, and says what is wrong.
        tracing::debug!(%error, "cannot join parts");
    }
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
    let joined = store.joined(&upload.cos_key);
    let mut joined = joined.lock().unwrap_or_else(PoisonError::into_inner);
    append_next(&mut joined, store, upload, usize::MAX)?;
    Ok(joined.sums())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Options;
    use super::super::content::Summing;
    use super::super::store::Kind;
    use super::*;

    fn upload() -> Upload {
        Upload {
            path: vec!["f".to_owned()],
            strategy: "overwrite".to_owned(),
            kind: Kind::Multipart,
            cos_key: "library/1".to_owned(),
            upload_id: "u".to_owned(),
            content_type: "application/octet-stream".to_owned(),
            created_ms: 0,
            posted: None,
            parts: BTreeMap::new(),
            confirmed: false,
            meta: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    fn sums(content: &[u8]) -> Sums {
        let mut summing = Summing::new();
        summing.add(content);
        summing.done()
    }

    /// As a PUT leaves it.
    fn arrives(store: &Store, upload: &mut Upload, number: u32, content: &[u8]) {
        fs::write(store.pending(&upload.cos_key, Some(number)), content).unwrap();
        upload.parts.insert(number, (sums(content), 0));
        join_some(store, upload);
    }

    #[test]
    fn parts_are_joined_as_they_come_and_anew_when_one_comes_again() {
        let tmp = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(tmp.path().to_path_buf())).unwrap();
        let mut upload = upload();
        let mib = usize::try_from(MIB).unwrap();
        let mut contents = [vec![1; mib], vec![0; 2 * mib], [vec![0; 70_000], vec![3]].concat()];
        let whole = |store: &Store, upload: &Upload, contents: &[Vec<u8>]| {
            let joined = join(store, upload).unwrap();
            let all = contents.concat();
            assert_eq!(
                Sums { md5: String::new(), ..joined },
                Sums { md5: String::new(), ..sums(&all) }
            );
            assert!(fs::read(store.pending(&upload.cos_key, None)).unwrap() == all);
        };
        let ready = |store: &Store, upload: &Upload| {
            store.joined(&upload.cos_key).lock().unwrap().parts.len()
        };
        arrives(&store, &mut upload, 2, &contents[1]);
        assert_eq!(ready(&store, &upload), 0);
        assert!(join(&store, &upload).is_err());
        arrives(&store, &mut upload, 1, &contents[0]);
        assert_eq!(ready(&store, &upload), 2, "before the confirm");
        arrives(&store, &mut upload, 3, &contents[2]);
        whole(&store, &upload, &contents);
        whole(&store, &upload, &contents);
        // One comes again with another content.
        contents[0] = vec![7; mib + 9];
        arrives(&store, &mut upload, 1, &contents[0]);
        whole(&store, &upload, &contents);
        // As after a restart: nothing is known of what was joined.
        drop(store);
        let store = Store::open(Options::new(tmp.path().to_path_buf())).unwrap();
        whole(&store, &upload, &contents);
        // It is being replaced: nothing is joined that its sums do not speak of.
        fs::write(store.pending(&upload.cos_key, Some(3)), "another").unwrap();
        fs::remove_file(store.pending(&upload.cos_key, None)).unwrap();
        assert!(join(&store, &upload).is_err());
    }
}
