//! The end of an upload (pure): confirming it, and believing only what the service shows. Sheet sections 5, 13 and 14.

use super::state::{Sent, State};
use super::words::{Decision, End, How, Next, Note};
use super::{Transfer, is_directory_lost, synced};
use crate::failure::Class;
use crate::mirror::step::{Failure, Remote, Reply, Step};

/// Pauses before a confirm that was "incomplete" is tried again (sheet section 13), in milliseconds.
pub(super) const CONFIRM_PAUSES: [i64; 4] = [500, 1_000, 2_000, 4_000];
/// A confirm that has no reason to be early is not repeated.
pub(super) const NO_PATIENCE: usize = CONFIRM_PAUSES.len();

impl Transfer {
    pub(super) fn confirm(
        &mut self,
        confirm_key: String,
        sent: Sent,
        how: How,
        tries: usize,
    ) -> Decision {
        let step =
            Step::Confirm { confirm_key: confirm_key.clone(), crc64: sent.crc64, pause_ms: 0 };
        self.may_be_visible = true;
        self.state = State::Confirming { confirm_key, sent, tries, how, unanswered: None };
        Decision::step(step)
    }

    /// The content has not arrived, or not yet (sheet section 13).
    pub(super) fn incomplete(
        &mut self,
        confirm_key: String,
        sent: Sent,
        tries: usize,
        how: How,
        unanswered: Option<Failure>,
        failure: Failure,
    ) -> Decision {
        if let Some(why) = unanswered {
            return self.clean_up(confirm_key, End::Failed(why));
        }
        let Some(pause_ms) = CONFIRM_PAUSES.get(tries) else {
            // The service knows which parts are missing, if any. Only once: else it would go round.
            if self.plan.is_some() && !self.asked_again && self.current == Some(self.fingerprint) {
                self.asked_again = true;
                self.state = State::Querying { confirm_key: confirm_key.clone() };
                return Decision::step(Step::Query { confirm_key });
            }
            // It never arrived: not a failure of the file, begin again.
            return self.again(Some(confirm_key), Failure { class: Class::Transient, ..failure });
        };
        let step = Step::Confirm {
            confirm_key: confirm_key.clone(),
            crc64: sent.crc64,
            pause_ms: *pause_ms,
        };
        self.state =
            State::Confirming { confirm_key, sent, tries: tries + 1, how, unanswered: None };
        Decision::step(step)
    }

    pub(super) fn not_confirmed(
        &mut self,
        confirm_key: String,
        sent: Sent,
        how: How,
        failure: Failure,
    ) -> Decision {
        if is_directory_lost(&failure) {
            return Decision::over(End::DirectoryLost);
        }
        match failure.class {
            // Confirmed before, or unknown: the remote file is the proof (sheet section 14).
            Class::Stale => self.prove(sent, How::Recovered),
            // What lies on COS is not what the journal says was sent: never confirm it, send the file again.
            _ if failure.is(&["BadCrc64"]) && (how == How::Recovered || self.resumed > 0) => {
                self.again(Some(confirm_key), failure)
            }
            _ if failure.is(&["BadCrc64"]) => self.clean_up(confirm_key, End::Failed(failure)),
            // Refused for good: the key is of no use any more.
            Class::Permanent => self.clean_up(confirm_key, End::Failed(failure)),
            // Everything else passes: the key stays in the journal, the content on COS.
            _ => Decision::end(End::Failed(failure)),
        }
    }

    pub(super) fn prove(&mut self, sent: Sent, how: How) -> Decision {
        self.state = State::Proving { sent, how };
        Decision::step(Step::Look)
    }

    /// The service says that the file is visible: believe it only if it is ours, and where it should be.
    pub(super) fn visible(&mut self, sent: Sent, how: How, reply: Reply) -> Decision {
        let Some(path) = reply.path else {
            // Its directory was deleted meanwhile: unreachable (sheet section 5).
            return Decision::over(End::DirectoryLost);
        };
        if path != self.target {
            return self.misplaced(sent, path);
        }
        match (reply.size, reply.crc64) {
            (size, Some(crc64))
                if crc64 == sent.crc64 && size.is_none_or(|size| size == sent.size) =>
            {
                Decision::over(synced(sent, how))
            }
            // Not said: look.
            (size, None) if size.is_none_or(|size| size == sent.size) => self.prove(sent, how),
            (size, crc64) => Decision::over(End::Failed(Failure::new(
                Class::Defect,
                format!(
                    "the service shows other content than was sent (size {size:?} and crc64 {crc64:?} instead of {} and {})",
                    sent.size, sent.crc64
                ),
            ))),
        }
    }

    /// The service stored a copy under another name (sheet section 14).
    pub(super) fn misplaced(&mut self, sent: Sent, path: Vec<String>) -> Decision {
        let failure = Failure::new(
            Class::Defect,
            format!(
                "the service stored the file as {} instead of {}",
                path.join("/"),
                self.target.join("/")
            ),
        );
        // Only a copy beside the target is surely made by this upload.
        let beside = |path: &[String]| path.split_last().map(|(_, dir)| dir.to_vec());
        if beside(&path) != beside(&self.target) {
            return Decision::over(End::Failed(failure));
        }
        self.state = State::Removing(failure);
        let step = Step::DeleteCopy { path, size: sent.size, crc64: sent.crc64 };
        Decision { note: Some(Note::Forgotten), next: Next::Step(step) }
    }

    pub(super) fn proven(&mut self, sent: Sent, how: How, remote: Option<Remote>) -> Decision {
        match remote {
            Some(remote)
                if remote.is_file
                    && remote.crc64 == Some(sent.crc64)
                    && remote.size.is_none_or(|size| size == sent.size) =>
            {
                Decision::over(synced(sent, how))
            }
            // Something older, or nothing: send it again.
            _ => self.again(
                None,
                Failure::new(
                    Class::Defect,
                    "the service confirmed the upload, and the remote file is not what was sent",
                ),
            ),
        }
    }
}
