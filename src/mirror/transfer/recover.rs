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

/// `current`: the file as it is now; `None`: it is gone, or no longer mirrored.
pub(super) fn recovery(upload: &UploadRow, current: Option<Fingerprint>) -> Recovery {
    match upload.stage {
        UploadStage::Posted { .. } => Recovery::Confirm,
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
            (UploadStage::Started, Some(print(7)), Recovery::Ask),
            (UploadStage::Started, Some(print(8)), Recovery::Drop),
            (UploadStage::Started, None, Recovery::Drop),
            (posted, Some(print(7)), Recovery::Confirm),
            (posted, Some(print(8)), Recovery::Confirm),
            (posted, None, Recovery::Confirm),
        ];
        for (stage, current, expected) in cases {
            let upload = UploadRow {
                id: EntryId { dir: DirId(1), name: b"f".to_vec() },
                confirm_key: "k".into(),
                stage,
                started_at_ms: 0,
                expires_at_ms: None,
                fingerprint: print(7),
            };
            assert_eq!(recovery(&upload, current), expected, "{stage:?} {current:?}");
        }
    }
}
