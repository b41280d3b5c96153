//! What an upload that an earlier run left needs (pure). The table of design section 4.

use crate::fingerprint::Fingerprint;
use crate::journal::{UploadRow, UploadStage};

/// What to do first about an upload that was started and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// One whole state of the file lies on COS, whatever the file is now: confirm it.
    Confirm,
    /// Bytes may have arrived, and the file is what it was: ask, and confirm with the digest of the file.
    Ask,
    /// What was started belongs to another state, or to no file: give it up.
    Drop,
}

/// A key that cannot be confirmed so often is given up when the file has a newer state: that must not wait for ever.
const TRIES_FOR_A_NEWER_STATE: u32 = 4;
/// The same when it has not: then the file is sent once more.
const TRIES: u32 = 10;

/// `current`: the file as it is now; `None`: it is gone, or no longer mirrored. `tries`: how often in a row it failed.
pub(super) fn recovery(upload: &UploadRow, current: Option<Fingerprint>, tries: u32) -> Recovery {
    let newer = current.is_some_and(|current| current != upload.fingerprint);
    match upload.stage {
        UploadStage::Posted { .. } if newer && tries >= TRIES_FOR_A_NEWER_STATE => Recovery::Drop,
        UploadStage::Posted { .. } if tries >= TRIES => Recovery::Drop,
        UploadStage::Posted { .. } => Recovery::Confirm,
        UploadStage::Started if tries >= TRIES => Recovery::Drop,
        UploadStage::Started if current == Some(upload.fingerprint) => Recovery::Ask,
        UploadStage::Started => Recovery::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;
    use crate::journal::{DirId, EntryId};

    #[test]
    fn every_line_of_the_table() {
        let print = |size| Fingerprint { size, mtime_ns: 1, ctime_ns: 2, inode: 3 };
        let posted = UploadStage::Posted { full_hash: Hash::from_bytes([0; 32]), crc64: 1 };
        let cases = [
            (UploadStage::Started, Some(print(7)), 0, Recovery::Ask),
            (UploadStage::Started, Some(print(7)), 9, Recovery::Ask),
            (UploadStage::Started, Some(print(7)), 10, Recovery::Drop),
            (UploadStage::Started, Some(print(8)), 0, Recovery::Drop),
            (UploadStage::Started, None, 0, Recovery::Drop),
            (posted, Some(print(7)), 9, Recovery::Confirm),
            (posted, Some(print(7)), 10, Recovery::Drop),
            (posted, Some(print(8)), 3, Recovery::Confirm),
            (posted, Some(print(8)), 4, Recovery::Drop),
            (posted, None, 9, Recovery::Confirm),
        ];
        for (stage, current, tries, expected) in cases {
            let upload = UploadRow {
                id: EntryId { dir: DirId(1), name: b"f".to_vec() },
                confirm_key: "k".into(),
                stage,
                started_at_ms: 0,
                expires_at_ms: None,
                fingerprint: print(7),
                part_size: None,
                parts: Vec::new(),
            };
            assert_eq!(
                recovery(&upload, current, tries),
                expected,
                "{stage:?} {current:?} {tries}"
            );
        }
    }
}
