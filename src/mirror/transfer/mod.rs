//! One upload as a state machine (pure): outcomes in, the next step out. Design sections 4 and 8,
//! sheet sections 3 to 6 and 14.
//!
//! Whatever the journal must know before a step is part of the same decision: the engine commits it
//! and hands the step out afterwards.

mod confirming;
mod parts;
mod recover;
mod sending;
mod state;
mod words;

use super::step::{Failure, Hashes, Outcome, Step};
use crate::digest::{BEGINNING_LEN, Digest};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::{ConfirmedRow, PartRow, RemoteRow, UploadRow, UploadStage};
use confirming::NO_PATIENCE;
use parts::{Parts, Plan};
use recover::{Recovery, recovery};
use state::{Sent, State};
pub(super) use words::{Decision, End, How, Next, Note};

/// Largest object of one form POST (sheet section 4).
const FORM_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Starts of one transfer: more mean that something else is wrong, and back-off takes over.
const STARTS_MAX: u32 = 3;

/// What the journal knows of a file when its upload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The file as it was last seen.
    pub(super) seen: Fingerprint,
    pub(super) confirmed: Option<ConfirmedRow>,
    /// What a listing showed at the target.
    pub(super) remote: Option<RemoteRow>,
    /// Something else than that may be visible by now: none of it proves anything.
    pub(super) unsure: bool,
    /// From this size on, in bytes, it is sent in parts.
    pub(super) multipart_from: u64,
}

/// A file that is gone: this may be it, under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Where its copy is.
    pub(super) path: Vec<String>,
    pub(super) confirmed: ConfirmedRow,
}

/// One upload of one state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Where the file has to be.
    pub(super) target: Vec<String>,
    /// The state of the file that is sent, or was.
    pub(super) fingerprint: Fingerprint,
    /// The file as it was last seen; `None`: it is gone, and only what was started is settled.
    current: Option<Fingerprint>,
    confirmed: Option<ConfirmedRow>,
    remote: Option<RemoteRow>,
    source: Option<Source>,
    state: State,
    starts: u32,
    may_be_visible: bool,
    multipart_from: u64,
    /// How the file is cut, if it is sent in parts, and what earlier runs read of them.
    plan: Option<Plan>,
    rows: Vec<PartRow>,
    /// Connections that may be used.
    streams: usize,
    /// The service was asked which parts are missing although all had arrived.
    asked_again: bool,
    /// Bytes that had arrived when the upload was taken up.
    resumed: u64,
    /// Parts arrived in this transfer.
    progressed: bool,
}

impl Transfer {
    fn new(target: Vec<String>, fingerprint: Fingerprint) -> Transfer {
        Transfer {
            target,
            fingerprint,
            current: None,
            confirmed: None,
            remote: None,
            source: None,
            state: State::Dropping,
            starts: 0,
            may_be_visible: false,
            multipart_from: u64::MAX,
            plan: None,
            rows: Vec::new(),
            streams: 1,
            asked_again: false,
            resumed: 0,
            progressed: false,
        }
    }

    /// Begins, or takes up what `upload` of an earlier run left, which failed `tries` times in a row.
    pub(super) fn begin(
        target: Vec<String>,
        known: Known,
        upload: Option<&UploadRow>,
        tries: u32,
        source: Option<Source>,
    ) -> (Transfer, Decision) {
        let mut transfer = Transfer {
            current: Some(known.seen),
            confirmed: known.confirmed.filter(|_| !known.unsure),
            remote: known.remote.filter(|_| !known.unsure),
            source,
            multipart_from: known.multipart_from,
            ..Transfer::new(target, known.seen)
        };
        let decision = match upload {
            None => transfer.fresh(None),
            Some(upload) => transfer.take_up(upload, tries),
        };
        (transfer, decision)
    }

    /// Whether something was handed out that makes other content visible at the target. The journal must know
    /// before that: whatever becomes of the answer, what was confirmed before proves nothing then.
    pub(super) fn may_be_visible(&self) -> bool {
        self.may_be_visible
    }

    /// Connections that it uses now: at least the one that every transfer has.
    pub(super) fn streams(&self) -> usize {
        match &self.state {
            State::Sending(parts) => parts.streams().max(1),
            _ => 1,
        }
    }

    /// How many connections it may use from now on. None: what is under way ends, and the parts that are left wait.
    pub(super) fn allow(&mut self, streams: usize) {
        self.streams = streams;
    }

    /// Bytes that had arrived before this transfer began.
    pub(super) fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Whether parts arrived in this transfer.
    pub(super) fn progressed(&self) -> bool {
        self.progressed
    }

    /// Settles what was started for a file that is gone or no longer mirrored: content that arrived whole is
    /// confirmed, anything else is cancelled.
    pub(super) fn settle(target: Vec<String>, upload: &UploadRow) -> (Transfer, Decision) {
        let mut transfer = Transfer::new(target, upload.fingerprint);
        let decision = transfer.take_up(upload, 0);
        (transfer, decision)
    }

    fn take_up(&mut self, upload: &UploadRow, tries: u32) -> Decision {
        let confirm_key = upload.confirm_key.clone();
        self.plan = Plan::of_row(upload.fingerprint.size, upload.part_size);
        // Where the fingerprint is only size and time, it proves nothing for days: all of it is read again.
        if upload.fingerprint.inode != 0 {
            self.rows = upload.parts.clone();
        }
        match (recovery(upload, self.current, tries), upload.stage) {
            (Recovery::Confirm, UploadStage::Posted { full_hash, crc64 }) => {
                self.fingerprint = upload.fingerprint;
                let sent = Sent { full_hash, crc64, size: upload.fingerprint.size };
                self.confirm(confirm_key, sent, How::Recovered, 0)
            }
            (Recovery::Ask, _) => {
                self.state = State::Querying { confirm_key: confirm_key.clone() };
                Decision::step(Step::Query { confirm_key })
            }
            (Recovery::Drop | Recovery::Confirm, _) => self.drop_upload(confirm_key),
        }
    }

    /// From the beginning, after `note`, with the file as it is now.
    fn fresh(&mut self, note: Option<Note>) -> Decision {
        let Some(current) = self.current else {
            return Decision { note, next: Next::End(End::Dropped) };
        };
        self.fingerprint = current;
        let known = self.confirmed.map(|c| c.fingerprint.size);
        let listed = self.remote.filter(|r| r.crc64.is_some()).and_then(|r| r.size);
        let moved = self.source.as_ref().map(|source| source.confirmed.fingerprint.size);
        if self.starts == 0 && [known, listed, moved].contains(&Some(current.size)) {
            self.state = State::Comparing;
            return Decision { note, next: Next::Step(Step::Digest) };
        }
        self.upload(note)
    }

    /// The content has to be sent, unless the library has it.
    fn upload(&mut self, note: Option<Note>) -> Decision {
        let size = self.fingerprint.size;
        self.rows = Vec::new();
        self.resumed = 0;
        self.plan = None;
        if size >= self.multipart_from.max(1) || size > FORM_MAX {
            self.plan = Plan::new(size);
            if self.plan.is_none() {
                let failure = Failure::new(
                    Class::Permanent,
                    "larger than 48.8 TB: the service takes no larger file",
                );
                return Decision { note, next: Next::End(End::Failed(failure)) };
            }
        }
        self.start(self.first_hashes(), note)
    }

    /// Only files of 1 MiB and more can be uploaded instantly (sheet section 3).
    fn first_hashes(&self) -> Hashes {
        if self.fingerprint.size >= BEGINNING_LEN { Hashes::Beginning } else { Hashes::None }
    }

    fn start(&mut self, hashes: Hashes, note: Option<Note>) -> Decision {
        self.starts += 1;
        // Only the full hash can be answered with a file that exists at once.
        self.may_be_visible |= hashes == Hashes::Full;
        self.state = State::Starting(hashes);
        Decision { note, next: Next::Step(self.start_step(hashes)) }
    }

    fn start_step(&self, hashes: Hashes) -> Step {
        match self.plan {
            None => Step::Start(hashes),
            Some(plan) => Step::StartParts { hashes, parts: plan.count() },
        }
    }

    /// Cancels an upload that is of no use, then begins.
    fn drop_upload(&mut self, confirm_key: String) -> Decision {
        self.state = State::Dropping;
        Decision::step(Step::Cancel { confirm_key })
    }

    /// Another start, unless there were too many. The upload is over, or is cancelled first.
    fn again(&mut self, confirm_key: Option<String>, why: Failure) -> Decision {
        // What arrived is of no use, so it is no progress.
        self.progressed = false;
        let tired = self.starts >= STARTS_MAX;
        self.starts = self.starts.max(1);
        match confirm_key {
            Some(confirm_key) if tired => self.clean_up(confirm_key, End::Failed(why)),
            Some(confirm_key) => self.drop_upload(confirm_key),
            None if tired => Decision::over(End::Failed(why)),
            None => self.fresh(Some(Note::Forgotten)),
        }
    }

    /// Takes the outcome of the step that was handed out last.
    pub(super) fn on(&mut self, outcome: Outcome) -> Decision {
        let state = std::mem::replace(&mut self.state, State::Dropping);
        match (state, outcome) {
            (State::Ending(end), outcome) => {
                Decision { note: Some(self.given_up(&outcome)), next: Next::End(end) }
            }
            (State::Removing(failure), outcome) => {
                Decision::over(End::Failed(left_behind(failure, &outcome)))
            }
            (State::Dropping, outcome @ (Outcome::Done | Outcome::Failed(_))) => {
                let note = self.given_up(&outcome);
                self.fresh(Some(note))
            }
            (State::Sending(parts), outcome) => self.sending(parts, outcome),
            (state, Outcome::Changed) => self.abandon(state, End::Changed),
            (state, Outcome::Vanished) => self.abandon(state, End::Vanished),
            (_, Outcome::RootGone) => Decision::end(End::RootGone),
            (State::Comparing, Outcome::Digested(digest)) => self.compared(digest),
            (State::Moving { sent }, outcome) => self.moved(sent, outcome),
            (State::Starting(hashes), outcome) => self.started(hashes, outcome),
            (State::Posting { confirm_key }, outcome) => self.posted(confirm_key, outcome),
            (State::Confirming { confirm_key, sent, tries, how, unanswered }, outcome) => {
                let failure = match outcome {
                    Outcome::Confirmed(reply) => return self.visible(sent, how, reply),
                    Outcome::Failed(failure) => failure,
                    other => return unexpected(&other, "confirming"),
                };
                if failure.is(&["UploadIncomplete", "MultipartUploadIncomplete"]) {
                    return self.incomplete(confirm_key, sent, tries, how, unanswered, failure);
                }
                self.not_confirmed(confirm_key, sent, how, failure)
            }
            (State::Proving { sent, how }, Outcome::Looked(remote)) => {
                self.proven(sent, how, remote)
            }
            (State::Querying { confirm_key }, Outcome::Queried { confirmed: false, parts })
                if self.plan.is_some() =>
            {
                self.go_on(confirm_key, &parts)
            }
            (State::Querying { confirm_key }, Outcome::Queried { confirmed, .. }) => {
                self.recovering((!confirmed).then_some(confirm_key))
            }
            // Expired or unknown: the remote file tells.
            (State::Querying { .. }, Outcome::Failed(failure)) if failure.class == Class::Stale => {
                self.recovering(None)
            }
            (State::Recovering { confirm_key: Some(confirm_key) }, Outcome::Digested(digest)) => {
                // No patience with "incomplete": nobody is sending.
                self.confirm(confirm_key, digest.into(), How::Recovered, NO_PATIENCE)
            }
            (State::Recovering { confirm_key: None }, Outcome::Digested(digest)) => {
                self.prove(digest.into(), How::Recovered)
            }
            // The journal keeps the upload: the next try takes it up.
            (_, Outcome::Failed(failure)) => Decision::end(End::Failed(failure)),
            (state, outcome) => unexpected(&outcome, state.name()),
        }
    }

    fn recovering(&mut self, confirm_key: Option<String>) -> Decision {
        self.state = State::Recovering { confirm_key };
        Decision::step(Step::Digest)
    }

    fn compared(&mut self, digest: Digest) -> Decision {
        let is_confirmed =
            self.confirmed.is_some_and(|c| c.full_hash == digest.full && c.crc64 == digest.crc64);
        let is_listed = self
            .remote
            .is_some_and(|r| r.size == Some(digest.size) && r.crc64 == Some(digest.crc64));
        if is_confirmed {
            return Decision::end(synced(digest.into(), How::Unchanged));
        }
        if is_listed {
            return Decision::end(synced(digest.into(), How::Adopted));
        }
        let is = |c: &ConfirmedRow| c.full_hash == digest.full && c.crc64 == digest.crc64;
        if let Some(source) = self.source.take().filter(|source| is(&source.confirmed)) {
            self.may_be_visible = true;
            self.state = State::Moving { sent: digest.into() };
            let (size, crc64) = (digest.size, digest.crc64);
            return Decision::step(Step::Move { from: source.path, size, crc64 });
        }
        self.upload(None)
    }

    fn moved(&mut self, sent: Sent, outcome: Outcome) -> Decision {
        match outcome {
            Outcome::Done => self.prove(sent, How::Moved),
            Outcome::Failed(failure) if is_directory_lost(&failure) => {
                Decision::end(End::DirectoryLost)
            }
            Outcome::Failed(failure) => match failure.class {
                Class::Transient | Class::Throttled | Class::Offline | Class::Quota => {
                    Decision::end(End::Failed(failure))
                }
                Class::Auth if !failure.is(&["NoPermission", "WriteForbidden"]) => {
                    Decision::end(End::Failed(failure))
                }
                // It is not there: an earlier call may have moved it.
                _ if failure.is(&["SourceFileNotFound"]) => self.prove(sent, How::Moved),
                // The service does not want to. If what has the name is the same content by chance, that is ours now, and
                // the copy that was to be moved is where it was.
                _ => self.prove(sent, How::Adopted),
            },
            other => unexpected(&other, "moving"),
        }
    }

    fn started(&mut self, hashes: Hashes, outcome: Outcome) -> Decision {
        match outcome {
            Outcome::Started { confirm_key, expires_at_ms } => {
                let part_size = self.plan.map(Plan::part_size);
                let note =
                    Note::Started { confirm_key: confirm_key.clone(), expires_at_ms, part_size };
                if let Some(plan) = self.plan {
                    let parts = Parts::new(confirm_key, plan, &[], &[]);
                    return self.next_parts(parts, Some(note));
                }
                self.state = State::Posting { confirm_key };
                Decision { note: Some(note), next: Next::Step(Step::Post) }
            }
            Outcome::NeedFullHash if hashes == Hashes::Beginning => {
                self.may_be_visible = true;
                self.state = State::Starting(Hashes::Full);
                Decision::step(self.start_step(Hashes::Full))
            }
            Outcome::NeedFullHash => Decision::end(End::Failed(Failure::new(
                Class::Defect,
                "the service asks for a full hash that it was given, or that a small file does not need",
            ))),
            Outcome::Instant { digest, reply } => self.visible(digest.into(), How::Instant, reply),
            Outcome::Failed(failure)
                if failure.class == Class::Stale && is_directory_lost(&failure) =>
            {
                Decision::end(End::DirectoryLost)
            }
            Outcome::Failed(failure) => Decision::end(End::Failed(failure)),
            other => unexpected(&other, "starting"),
        }
    }

    fn posted(&mut self, confirm_key: String, outcome: Outcome) -> Decision {
        match outcome {
            Outcome::Posted { digest, crc64 } => {
                if let Some(theirs) = crc64.filter(|theirs| *theirs != digest.crc64) {
                    let failure = Failure::new(
                        Class::Defect,
                        format!(
                            "COS received other bytes than were sent (crc64 {theirs} instead of {})",
                            digest.crc64
                        ),
                    );
                    return self.clean_up(confirm_key, End::Failed(failure));
                }
                let note = Note::Posted { full_hash: digest.full, crc64: digest.crc64 };
                let confirm = self.confirm(confirm_key, digest.into(), How::Sent, 0);
                Decision { note: Some(note), ..confirm }
            }
            // A lost answer is answered by asking: the confirm tells whether the bytes arrived.
            Outcome::PostUnanswered { digest, failure } => {
                let decision = self.confirm(confirm_key, digest.into(), How::Sent, NO_PATIENCE);
                if let State::Confirming { unanswered, .. } = &mut self.state {
                    *unanswered = Some(failure);
                }
                decision
            }
            // The form is too old or no longer known: another one.
            Outcome::Failed(failure) if failure.class == Class::Stale => {
                self.again(Some(confirm_key), failure)
            }
            Outcome::Failed(failure) => self.clean_up(confirm_key, End::Failed(failure)),
            other => unexpected(&other, "posting"),
        }
    }

    /// The file is not what was expected: what was started must not be confirmed.
    fn abandon(&mut self, state: State, last: End) -> Decision {
        match state {
            State::Posting { confirm_key }
            | State::Recovering { confirm_key: Some(confirm_key) } => {
                self.clean_up(confirm_key, last)
            }
            _ => Decision::end(last),
        }
    }

    /// What becomes of the key of an upload that was to be cancelled. One that stays is invisible, and forgotten by the
    /// service; but parts lie on COS until they are cancelled.
    fn given_up(&self, outcome: &Outcome) -> Note {
        match outcome {
            Outcome::Failed(_) if self.plan.is_some() => Note::Abandoned,
            _ => Note::Forgotten,
        }
    }

    /// Cancels on the service (best effort), then ends.
    fn clean_up(&mut self, confirm_key: String, last: End) -> Decision {
        self.progressed = false;
        self.state = State::Ending(last);
        Decision::step(Step::Cancel { confirm_key })
    }
}

/// The shell answered something else than was asked. Only names are said: outcomes may carry keys.
fn unexpected(outcome: &Outcome, state: &str) -> Decision {
    Decision::end(End::Failed(misfit(outcome, state)))
}

fn misfit(outcome: &Outcome, state: &str) -> Failure {
    let message = format!("unexpected outcome {} in {state}; please report this", outcome.name());
    Failure::new(Class::Defect, message)
}

/// A copy that could not be removed is named: somebody has to.
fn left_behind(failure: Failure, outcome: &Outcome) -> Failure {
    let why = match outcome {
        Outcome::Failed(why) => &why.message,
        _ => return failure,
    };
    let message = format!(
        "{}; what was stored could not be removed ({why}): remove it by hand",
        failure.message
    );
    Failure { message, ..failure }
}

/// A parent is not on the remote. Both spellings are possible (sheet section 14).
fn is_directory_lost(failure: &Failure) -> bool {
    failure.is(&["DirectoryNotFound", "PathNotFound", "InvalidSpaceOrDirectoryPath"])
}

fn synced(sent: Sent, how: How) -> End {
    End::Synced { full_hash: sent.full_hash, crc64: sent.crc64, how }
}

#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod tests;
