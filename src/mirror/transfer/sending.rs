//! An upload in parts (pure): going on with what arrived, and what comes of reading and sending parts. Sheet section 7.

use super::parts::{Parts, Stop};
use super::state::{Sent, State};
use super::words::{Decision, End, How, Next, Note};
use super::{Transfer, misfit};
use crate::failure::Class;
use crate::mirror::step::{Failure, Outcome};

impl Transfer {
    /// Goes on with an upload in parts, of which these arrived.
    pub(super) fn go_on(&mut self, confirm_key: String, arrived: &[(u32, u64)]) -> Decision {
        let Some(plan) = self.plan else { return self.drop_upload(confirm_key) };
        let parts = Parts::new(confirm_key, plan, &self.rows, arrived);
        if !self.asked_again {
            self.resumed = parts.arrived().bytes;
        }
        self.next_parts(parts, None)
    }

    /// A part was read or sent, or was not.
    pub(super) fn sending(&mut self, mut parts: Parts, outcome: Outcome) -> Decision {
        let note = match outcome {
            Outcome::PartRead { number, crc64, full_hash } => {
                parts.was_read(number, crc64, full_hash);
                Some(Note::PartRead { number, crc64, full_hash })
            }
            Outcome::PartSent { number } => {
                self.progressed = true;
                parts.was_sent(number);
                Some(Note::PartSent { number })
            }
            outcome => {
                parts.failed(match outcome {
                    Outcome::Changed => Stop::Useless(End::Changed),
                    Outcome::Vanished => Stop::Useless(End::Vanished),
                    Outcome::RootGone => Stop::Kept(End::RootGone),
                    // The service does not know the upload, or not the way to it, any more.
                    Outcome::Failed(failure) if is_upload_lost(&failure) => Stop::Lost(failure),
                    Outcome::Failed(failure) => match failure.class {
                        // What makes no sense will not make more with the same upload.
                        Class::Permanent | Class::Defect => Stop::Useless(End::Failed(failure)),
                        _ => Stop::Kept(End::Failed(failure)),
                    },
                    other => Stop::Useless(End::Failed(misfit(&other, "sending"))),
                });
                None
            }
        };
        self.next_parts(parts, note)
    }

    /// What is next for an upload in parts.
    pub(super) fn next_parts(&mut self, mut parts: Parts, note: Option<Note>) -> Decision {
        if self.streams == 0 && parts.complete().is_none() {
            parts.stop(Stop::Kept(End::Parked));
        }
        if let Some(why) = parts.stopped() {
            let decision = match why {
                Stop::Useless(end) => self.clean_up(parts.confirm_key, end),
                Stop::Kept(end) => Decision::end(end),
                Stop::Lost(failure) => self.again(Some(parts.confirm_key), failure),
            };
            return Decision { note: decision.note.or(note), ..decision };
        }
        if parts.is_idle()
            && let Some((full_hash, crc64)) = parts.complete()
        {
            // Should the service miss a part, it need not be read again.
            self.rows = parts.rows();
            let sent = Sent { full_hash, crc64, size: self.fingerprint.size };
            let confirm = self.confirm(parts.confirm_key, sent, How::Sent, 0);
            return Decision { note: Some(Note::Posted { full_hash, crc64 }), ..confirm };
        }
        let steps = parts.begin(self.streams);
        self.state = State::Sending(parts);
        Decision { note, next: Next::Steps(steps) }
    }
}

/// The service does not know the upload any more (sheet section 5; `NoSuchUpload` is what COS calls it). Any other
/// refusal of a part may be about its signature: what arrived is kept.
fn is_upload_lost(failure: &Failure) -> bool {
    failure.is(&["NoSuchUpload", "ConfirmKeyNotFound", "UploadNotFound", "UploadComplete"])
}
