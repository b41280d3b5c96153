//! One upload as a state machine (pure): outcomes in, the next step out. Design sections 4 and 8,
//! sheet sections 3 to 6 and 14.
//!
//! Whatever the journal must know before a step is part of the same decision: the engine commits it
//! and hands the step out afterwards.

use super::step::{Failure, Hashes, Outcome, Remote, Reply, Step};
use crate::digest::{BEGINNING_LEN, Digest, Hash};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::{ConfirmedRow, UploadRow, UploadStage};

/// Largest object of one form POST (sheet section 4).
const FORM_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Pauses before a confirm that was "incomplete" is tried again (sheet section 13), in milliseconds.
const CONFIRM_PAUSES: [i64; 4] = [500, 1_000, 2_000, 4_000];
/// Starts of one transfer: more mean that something else is wrong, and back-off takes over.
const STARTS_MAX: u32 = 3;

/// How an entry came to be synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Sent,
    Instant,
    Recovered,
    /// Nothing was sent: the content is the confirmed one.
    Unchanged,
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Synced {
        full_hash: Hash,
        crc64: u64,
        how: How,
    },
    /// Look at the file again.
    Changed,
    /// Look whether it is gone.
    Vanished,
    RootGone,
    /// The directory is not on the remote.
    DirectoryLost,
    Failed(Failure),
}

/// What the journal must know before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    Started {
        confirm_key: String,
        expires_at_ms: Option<i64>,
    },
    Posted {
        full_hash: Hash,
        crc64: u64,
    },
    /// The upload is over, one way or the other.
    Forgotten,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Step(Step),
    End(End),
}

/// What to write down, and what to do then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) note: Option<Note>,
    pub(super) next: Next,
}

/// What was sent, and what the service must show of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    full_hash: Hash,
    crc64: u64,
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Is the content the confirmed one?
    Comparing,
    Starting(Hashes),
    Posting {
        confirm_key: String,
    },
    Confirming {
        confirm_key: String,
        sent: Sent,
        tries: usize,
        how: How,
    },
    /// The key is used up or unknown: the remote file tells.
    Proving {
        sent: Sent,
        how: How,
    },
    /// An upload of an earlier run, not known to be complete: the file's digest, to confirm with.
    Recovering {
        confirm_key: String,
    },
    /// Cleaning up, then ending so.
    Ending(End),
    /// Cancelling an old upload of another state, then beginning.
    Dropping,
}

/// One upload of one state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Where the file has to be.
    pub(super) target: Vec<String>,
    /// The state of the file.
    pub(super) fingerprint: Fingerprint,
    confirmed: Option<ConfirmedRow>,
    state: State,
    starts: u32,
}

impl Transfer {
    /// Begins, or takes up what `upload` of an earlier run left.
    pub(super) fn begin(
        target: Vec<String>,
        fingerprint: Fingerprint,
        confirmed: Option<ConfirmedRow>,
        upload: Option<&UploadRow>,
    ) -> (Transfer, Decision) {
        let mut transfer =
            Transfer { target, fingerprint, confirmed, state: State::Dropping, starts: 0 };
        let decision = match upload {
            None => transfer.fresh(None),
            Some(upload) => transfer.take_up(upload),
        };
        (transfer, decision)
    }

    /// The recovery table of the design.
    fn take_up(&mut self, upload: &UploadRow) -> Decision {
        let confirm_key = upload.confirm_key.clone();
        match upload.stage {
            // One whole state of the file lies on COS, whatever the file is now: confirm it.
            UploadStage::Posted { full_hash, crc64 } => {
                self.fingerprint = upload.fingerprint;
                let sent = Sent { full_hash, crc64, size: upload.fingerprint.size };
                self.confirm(confirm_key, sent, How::Recovered, None)
            }
            UploadStage::Started if upload.fingerprint == self.fingerprint => {
                self.state = State::Recovering { confirm_key };
                step(Step::Digest)
            }
            UploadStage::Started => {
                self.state = State::Dropping;
                step(Step::Cancel { confirm_key })
            }
        }
    }

    /// From the beginning, after `note`.
    fn fresh(&mut self, note: Option<Note>) -> Decision {
        let size = self.fingerprint.size;
        if size > FORM_MAX {
            let failure = Failure::new(
                Class::Permanent,
                "larger than 5 GB: the service takes no larger file by form upload",
            );
            return Decision { note, next: Next::End(End::Failed(failure)) };
        }
        if self.starts == 0 && self.confirmed.is_some_and(|c| c.fingerprint.size == size) {
            self.state = State::Comparing;
            return Decision { note, next: Next::Step(Step::Digest) };
        }
        let hashes = if size >= BEGINNING_LEN { Hashes::Beginning } else { Hashes::None };
        self.start(hashes, note)
    }

    fn start(&mut self, hashes: Hashes, note: Option<Note>) -> Decision {
        self.starts += 1;
        self.state = State::Starting(hashes);
        Decision { note, next: Next::Step(Step::Start(hashes)) }
    }

    fn confirm(
        &mut self,
        confirm_key: String,
        sent: Sent,
        how: How,
        note: Option<Note>,
    ) -> Decision {
        let step =
            Step::Confirm { confirm_key: confirm_key.clone(), crc64: sent.crc64, pause_ms: 0 };
        self.state = State::Confirming { confirm_key, sent, tries: 0, how };
        Decision { note, next: Next::Step(step) }
    }

    /// Another start, unless there were too many.
    fn again(&mut self, why: Failure) -> Decision {
        if self.starts >= STARTS_MAX {
            return Decision { note: Some(Note::Forgotten), next: Next::End(End::Failed(why)) };
        }
        self.starts = self.starts.max(1);
        self.fresh(Some(Note::Forgotten))
    }

    /// Takes the outcome of the step that was handed out last.
    pub(super) fn on(&mut self, outcome: Outcome) -> Decision {
        let state = std::mem::replace(&mut self.state, State::Dropping);
        match (state, outcome) {
            (State::Ending(end), outcome) => Decision {
                note: Some(Note::Forgotten),
                next: Next::End(left_behind(end, &outcome)),
            },
            // Best effort: a key that stays is forgotten by the service.
            (State::Dropping, Outcome::Done | Outcome::Failed(_)) => {
                self.fresh(Some(Note::Forgotten))
            }
            (state, Outcome::Changed) => self.abandon(state, End::Changed),
            (state, Outcome::Vanished) => self.abandon(state, End::Vanished),
            (state, Outcome::RootGone) => {
                self.state = state;
                end(End::RootGone)
            }
            (State::Comparing, Outcome::Digested(digest)) => self.compared(digest),
            (State::Starting(hashes), outcome) => self.started(hashes, outcome),
            (State::Posting { confirm_key }, outcome) => self.posted(confirm_key, outcome),
            (State::Confirming { confirm_key, sent, tries, how }, outcome) => {
                self.confirmed(confirm_key, sent, tries, how, outcome)
            }
            (State::Proving { sent, how }, Outcome::Looked(remote)) => {
                self.proven(sent, how, remote)
            }
            (State::Recovering { confirm_key }, Outcome::Digested(digest)) => {
                let sent = Sent { full_hash: digest.full, crc64: digest.crc64, size: digest.size };
                let step = Step::Confirm {
                    confirm_key: confirm_key.clone(),
                    crc64: sent.crc64,
                    pause_ms: 0,
                };
                // No patience with "incomplete": nobody is sending.
                let tries = CONFIRM_PAUSES.len();
                self.state = State::Confirming { confirm_key, sent, tries, how: How::Recovered };
                Decision { note: None, next: Next::Step(step) }
            }
            // The journal keeps the upload: the next try takes it up.
            (_, Outcome::Failed(failure)) => end(End::Failed(failure)),
            (state, outcome) => end(End::Failed(Failure::new(
                Class::Defect,
                format!("unexpected outcome {} in {}", name(&outcome), state.name()),
            ))),
        }
    }

    fn compared(&mut self, digest: Digest) -> Decision {
        match self.confirmed {
            Some(c) if c.full_hash == digest.full && c.crc64 == digest.crc64 => end(End::Synced {
                full_hash: digest.full,
                crc64: digest.crc64,
                how: How::Unchanged,
            }),
            _ => {
                let large = self.fingerprint.size >= BEGINNING_LEN;
                self.start(if large { Hashes::Beginning } else { Hashes::None }, None)
            }
        }
    }

    fn started(&mut self, hashes: Hashes, outcome: Outcome) -> Decision {
        match outcome {
            Outcome::Started { confirm_key, expires_at_ms } => {
                self.state = State::Posting { confirm_key: confirm_key.clone() };
                Decision {
                    note: Some(Note::Started { confirm_key, expires_at_ms }),
                    next: Next::Step(Step::Post),
                }
            }
            Outcome::NeedFullHash if hashes == Hashes::Beginning => {
                self.state = State::Starting(Hashes::Full);
                step(Step::Start(Hashes::Full))
            }
            Outcome::NeedFullHash => end(End::Failed(Failure::new(
                Class::Defect,
                "the service asks for a full hash that it was given, or that a small file does not need",
            ))),
            Outcome::Instant { digest, reply } => {
                let sent = Sent { full_hash: digest.full, crc64: digest.crc64, size: digest.size };
                self.visible(sent, How::Instant, reply)
            }
            Outcome::Failed(failure)
                if failure.class == Class::Stale && is_directory_lost(&failure) =>
            {
                end(End::DirectoryLost)
            }
            Outcome::Failed(failure) => end(End::Failed(failure)),
            other => end(End::Failed(Failure::new(
                Class::Defect,
                format!("unexpected outcome {} of a start", name(&other)),
            ))),
        }
    }

    fn posted(&mut self, confirm_key: String, outcome: Outcome) -> Decision {
        match outcome {
            Outcome::Posted { digest, crc64 } => {
                if crc64.is_some_and(|theirs| theirs != digest.crc64) {
                    let failure = Failure::new(
                        Class::Defect,
                        format!(
                            "COS received other bytes than were sent (crc64 {} instead of {})",
                            crc64.unwrap_or_default(),
                            digest.crc64
                        ),
                    );
                    return self.clean_up(confirm_key, End::Failed(failure));
                }
                let sent = Sent { full_hash: digest.full, crc64: digest.crc64, size: digest.size };
                let note = Note::Posted { full_hash: digest.full, crc64: digest.crc64 };
                self.confirm(confirm_key, sent, How::Sent, Some(note))
            }
            // The form is too old or no longer known: another one.
            Outcome::Failed(failure) if failure.class == Class::Stale => self.again(failure),
            Outcome::Failed(failure) => {
                Decision { note: Some(Note::Forgotten), next: Next::End(End::Failed(failure)) }
            }
            other => end(End::Failed(Failure::new(
                Class::Defect,
                format!("unexpected outcome {} of a post", name(&other)),
            ))),
        }
    }

    fn confirmed(
        &mut self,
        confirm_key: String,
        sent: Sent,
        tries: usize,
        how: How,
        outcome: Outcome,
    ) -> Decision {
        match outcome {
            Outcome::Confirmed(reply) => self.visible(sent, how, reply),
            Outcome::Failed(failure)
                if failure.is(&["UploadIncomplete", "MultipartUploadIncomplete"]) =>
            {
                match CONFIRM_PAUSES.get(tries) {
                    Some(pause_ms) => {
                        let step = Step::Confirm {
                            confirm_key: confirm_key.clone(),
                            crc64: sent.crc64,
                            pause_ms: *pause_ms,
                        };
                        self.state = State::Confirming { confirm_key, sent, tries: tries + 1, how };
                        Decision { note: None, next: Next::Step(step) }
                    }
                    // It never arrived: not a failure of the file, begin again.
                    None => self.again(Failure { class: Class::Transient, ..failure }),
                }
            }
            // Confirmed before, or unknown: the remote file is the proof (sheet section 14).
            Outcome::Failed(failure)
                if failure.is(&[
                    "UploadComplete",
                    "ConfirmKeyNotFound",
                    "UploadNotFound",
                    "CosObjectNonexistent",
                ]) || failure.class == Class::Stale && !is_directory_lost(&failure) =>
            {
                self.state = State::Proving { sent, how: How::Recovered };
                step(Step::Look)
            }
            Outcome::Failed(failure) if is_directory_lost(&failure) => {
                Decision { note: Some(Note::Forgotten), next: Next::End(End::DirectoryLost) }
            }
            // The bytes on COS are not ours: never confirm them.
            Outcome::Failed(failure) if failure.is(&["BadCrc64"]) => {
                self.clean_up(confirm_key, End::Failed(failure))
            }
            // Refused for good: the key is of no use any more.
            Outcome::Failed(failure) if failure.class == Class::Permanent => {
                self.clean_up(confirm_key, End::Failed(failure))
            }
            // Everything else passes: the key stays in the journal, the content on COS.
            Outcome::Failed(failure) => end(End::Failed(failure)),
            other => end(End::Failed(Failure::new(
                Class::Defect,
                format!("unexpected outcome {} of a confirm", name(&other)),
            ))),
        }
    }

    /// The service says that the file is visible: believe it only if it is ours, and where it should be.
    fn visible(&mut self, sent: Sent, how: How, reply: Reply) -> Decision {
        let Some(path) = reply.path else {
            // Its directory was deleted meanwhile: unreachable (sheet section 5).
            return Decision { note: Some(Note::Forgotten), next: Next::End(End::DirectoryLost) };
        };
        if path != self.target {
            let failure = Failure::new(
                Class::Defect,
                format!(
                    "the service stored the file as {} instead of {}",
                    path.join("/"),
                    self.target.join("/")
                ),
            );
            // Only a copy beside the target is surely made by this upload.
            if path.len() == self.target.len()
                && path.split_last().map(|(_, dir)| dir)
                    == self.target.split_last().map(|(_, dir)| dir)
            {
                self.state = State::Ending(End::Failed(failure));
                return Decision {
                    note: Some(Note::Forgotten),
                    next: Next::Step(Step::DeleteCopy { path }),
                };
            }
            return Decision { note: Some(Note::Forgotten), next: Next::End(End::Failed(failure)) };
        }
        match (reply.size, reply.crc64) {
            (size, Some(crc64))
                if crc64 == sent.crc64 && size.is_none_or(|size| size == sent.size) =>
            {
                Decision { note: Some(Note::Forgotten), next: Next::End(synced(sent, how)) }
            }
            // Not said: look.
            (size, None) if size.is_none_or(|size| size == sent.size) => {
                self.state = State::Proving { sent, how };
                step(Step::Look)
            }
            (size, crc64) => Decision {
                note: Some(Note::Forgotten),
                next: Next::End(End::Failed(Failure::new(
                    Class::Defect,
                    format!(
                        "the service shows other content than was sent (size {size:?} and crc64 {crc64:?} instead of {} and {})",
                        sent.size, sent.crc64
                    ),
                ))),
            },
        }
    }

    fn proven(&mut self, sent: Sent, how: How, remote: Option<Remote>) -> Decision {
        match remote {
            Some(remote)
                if remote.is_file
                    && remote.crc64 == Some(sent.crc64)
                    && remote.size.is_none_or(|size| size == sent.size) =>
            {
                Decision { note: Some(Note::Forgotten), next: Next::End(synced(sent, how)) }
            }
            // Something older, or nothing: send it again.
            _ => self.again(Failure::new(
                Class::Defect,
                "the service confirmed the upload, and the remote file is not what was sent",
            )),
        }
    }

    /// The file is not what was expected: what was started must not be confirmed.
    fn abandon(&mut self, state: State, last: End) -> Decision {
        match state {
            State::Posting { confirm_key } | State::Recovering { confirm_key } => {
                self.clean_up(confirm_key, last)
            }
            _ => end(last),
        }
    }

    /// Cancels on the service (best effort), then ends.
    fn clean_up(&mut self, confirm_key: String, last: End) -> Decision {
        self.state = State::Ending(last);
        step(Step::Cancel { confirm_key })
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Comparing => "comparing",
            State::Starting(_) => "starting",
            State::Posting { .. } => "posting",
            State::Confirming { .. } => "confirming",
            State::Proving { .. } => "proving",
            State::Recovering { .. } => "recovering",
            State::Ending(_) => "ending",
            State::Dropping => "dropping",
        }
    }
}

/// The word for a message: outcomes may carry keys.
fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Digested(_) => "digested",
        Outcome::Started { .. } => "started",
        Outcome::NeedFullHash => "need-full-hash",
        Outcome::Instant { .. } => "instant",
        Outcome::Posted { .. } => "posted",
        Outcome::Confirmed(_) => "confirmed",
        Outcome::Looked(_) => "looked",
        Outcome::Done => "done",
        Outcome::Changed => "changed",
        Outcome::Vanished => "vanished",
        Outcome::RootGone => "root-gone",
        Outcome::Failed(_) => "failed",
    }
}

/// A copy that could not be removed is named: somebody has to.
fn left_behind(end: End, outcome: &Outcome) -> End {
    match (end, outcome) {
        (End::Failed(failure), Outcome::Failed(why))
            if failure.message.contains(" instead of ") && failure.code.is_none() =>
        {
            let message = format!(
                "{}; what was stored could not be removed ({}): remove it by hand",
                failure.message, why.message
            );
            End::Failed(Failure { message, ..failure })
        }
        (end, _) => end,
    }
}

/// A parent is not on the remote. Both spellings are possible (sheet section 14).
fn is_directory_lost(failure: &Failure) -> bool {
    failure.is(&["DirectoryNotFound", "PathNotFound", "InvalidSpaceOrDirectoryPath"])
}

fn synced(sent: Sent, how: How) -> End {
    End::Synced { full_hash: sent.full_hash, crc64: sent.crc64, how }
}

fn step(step: Step) -> Decision {
    Decision { note: None, next: Next::Step(step) }
}

fn end(end: End) -> Decision {
    Decision { note: None, next: Next::End(end) }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
