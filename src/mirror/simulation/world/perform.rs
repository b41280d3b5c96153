//! What effects do in the simulated world: looks and listings of the disk, calls of the service, and their faults.

use super::*;
use crate::mirror::step::Part;
use crate::tree::Absent;

impl World {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Root(mirror) => {
                self.broken.clear();
                let seen = match self.disk.root {
                    Some(inode) => Ok((RootId { inode, fsid: 1 }, self.disk.nodes.is_empty())),
                    None => Err(RootError::Missing(PathBuf::from("/m"))),
                };
                self.facts.push_back(Fact::Root { mirror, seen });
            }
            Effect::List { mirror, dir } => match self.disk.names(&dir) {
                Ok(names) => {
                    self.watch(&dir);
                    self.flights.push(Flight::Listing { dir, names, at: 0 });
                }
                Err(why) => self.facts.push_back(Fact::ListFailed { mirror, dir, why }),
            },
            Effect::Look { mirror, paths } => {
                for path in paths {
                    let kept = self.watches.get(&path).copied();
                    let watched = !self.broken.remove(&path)
                        && kept.is_some()
                        && kept == self.disk.dir_inode(&path);
                    self.facts.push_back(match (path.is_root(), self.disk.root) {
                        (true, Some(inode)) => {
                            let seen = Ok(RootId { inode, fsid: 1 });
                            Fact::RootLooked { mirror, seen, watched }
                        }
                        (true, None) => {
                            let seen = Err(RootError::Missing(PathBuf::from("/m")));
                            Fact::RootLooked { mirror, seen, watched }
                        }
                        _ => {
                            let what = self.disk.look(&path);
                            Fact::Looked { mirror, path, what, watched }
                        }
                    });
                }
            }
            Effect::Probe => {
                self.service.calls += 1;
                let result = match self.fails() {
                    Some(failure) => Err(failure),
                    None => Ok(()),
                };
                self.facts.push_back(Fact::Probe(result));
            }
            Effect::Remove { job, path, anchor, target, what, permanent, .. } => {
                let looked = match self.disk.root {
                    Some(inode) if inode == anchor.root.inode => match self.disk.look(&path) {
                        Err(Absent::Gone) => None,
                        Ok(kind) if kind.is_dir() != (what == Doomed::Directory) => None,
                        _ => Some(Removed::Present),
                    },
                    _ => Some(Removed::Doubtful("the root is another one".into())),
                };
                let result = match looked {
                    Some(other) => Ok(other),
                    None => {
                        self.service.calls += 1;
                        match self.fails() {
                            Some(failure) => {
                                if failure.class == Class::Transient && self.rng.bool() {
                                    let _ = self.delete(&path, &target, what, permanent);
                                }
                                Err(failure)
                            }
                            None => Ok(self.delete(&path, &target, what, permanent)),
                        }
                    }
                };
                self.facts.push_back(Fact::Removed { job, result });
            }
            Effect::Relocate { job, from, to, inode, source, target, .. } => {
                let result = if !self.is_moved(&from, &to, inode) {
                    Ok(Relocated::Elsewhere)
                } else {
                    self.service.calls += 1;
                    match self.fails() {
                        Some(failure) => {
                            if failure.class == Class::Transient && self.rng.bool() {
                                let _ = self.service.move_directory(&source, &target);
                            }
                            Err(failure)
                        }
                        None => self.service.move_directory(&source, &target),
                    }
                };
                self.facts.push_back(Fact::Relocated { job, result });
            }
            Effect::Cancel { confirm_key } => {
                self.service.calls += 1;
                let result = match self.fails() {
                    Some(failure) => Err(failure),
                    None => {
                        self.service.cancel(&confirm_key);
                        Ok(())
                    }
                };
                self.facts.push_back(Fact::Cancelled { confirm_key, result });
            }
            Effect::AskForBin => {
                self.service.calls += 1;
                let result = match self.fails() {
                    Some(failure) => Err(failure),
                    None => Ok(self.service.has_bin),
                };
                self.facts.push_back(Fact::Bin(result));
            }
            Effect::Directory { job, target } => self.make_directory(job, &target),
            Effect::ListRemote { job, target } => {
                self.service.calls += 1;
                let result = match self.fails() {
                    Some(failure) => Err(failure),
                    None => Ok(self.service.list(&target)),
                };
                self.facts.push_back(Fact::RemoteListed { job, result });
            }
            Effect::Step { .. } => self.step(effect),
            Effect::Unwatch { dir, .. } => {
                self.watches.retain(|watched, _| !watched.is_within(&dir));
            }
            Effect::Forget(_) | Effect::Sweep(_) | Effect::Missed { .. } | Effect::Limit(_) => {}
        }
    }

    /// (3) Nothing is deleted but what was absent for the grace period under the root that was known, and what was
    /// once there.
    pub(super) fn delete(
        &mut self,
        path: &RelPath,
        target: &[String],
        what: Doomed,
        permanent: bool,
    ) -> Removed {
        let before = self.service.files.get(target).copied();
        let removed = match what {
            Doomed::File { size, crc64 } => {
                self.service.delete_file(target, size, crc64, permanent)
            }
            Doomed::Directory => self.service.delete_directory(target, permanent),
        };
        if matches!(removed, Removed::Recycled | Removed::ForGood) {
            assert!(self.mood.delete != Delete::Keep, "{path}: deleted, and nobody wanted that");
            if let Some(content) = before {
                assert!(
                    self.disk.ever.contains(&(path.clone(), content)),
                    "{path}: deleted, and never ours"
                );
                let since = self.absent.get(path).copied();
                let since = since.unwrap_or_else(|| panic!("{path}: deleted, and it is there"));
                let grace_ms = i64::try_from(self.mood.grace_ms).unwrap_or(i64::MAX);
                assert!(
                    self.time_is_unsure
                        || self.hints_lost
                        || self.now.mono_ms.saturating_sub(since) >= grace_ms,
                    "{path}: deleted before its grace was over"
                );
            }
        }
        removed
    }

    /// Whether a directory is at its new place, as the shell looks.
    pub(super) fn is_moved(&self, from: &RelPath, to: &RelPath, inode: u64) -> bool {
        self.disk.root.is_some()
            && self.disk.look(from) == Err(Absent::Gone)
            && self.disk.dir_inode(to) == Some(inode)
    }

    /// Watches a directory that is being listed, if there is a watch left for it.
    fn watch(&mut self, dir: &RelPath) {
        let Some(inode) = self.disk.dir_inode(dir) else { return };
        if self.watches.contains_key(dir) || self.watches.len() < self.mood.watches {
            self.watches.insert(dir.clone(), inode);
            self.polled.remove(dir);
        } else {
            self.polled.insert(dir.clone());
        }
        let directories = self.watches.len() as u64;
        self.facts.push_back(Fact::Watched { mirror: 0, directories });
    }

    pub(super) fn list_page(&mut self, dir: RelPath, names: Vec<Vec<u8>>, at: usize) {
        // The directory may have gone, or become unreadable, between two pages.
        if at > 0
            && let Err(why) = self.disk.names(&dir)
        {
            self.facts.push_back(Fact::ListFailed { mirror: 0, dir, why });
            return;
        }
        let upto = (at + PAGE).min(names.len());
        let entries = self.disk.stat(&dir, names.get(at..upto).unwrap_or_default());
        let last = upto == names.len();
        let watched = if self.polled.contains(&dir) { Watching::No } else { Watching::Kept };
        self.facts.push_back(Fact::Page { mirror: 0, dir: dir.clone(), entries, last, watched });
        if !last {
            self.flights.push(Flight::Listing { dir, names, at: upto });
        }
    }

    fn make_directory(&mut self, job: DirJobId, target: &[String]) {
        self.service.calls += 1;
        let result = match self.fails() {
            Some(failure) => {
                if failure.class == Class::Transient && self.rng.bool() {
                    let _ = self.service.create_directory(target);
                }
                Err(failure)
            }
            None => self.service.create_directory(target),
        };
        self.facts.push_back(Fact::Directory { job, result });
    }

    /// Whether a call fails before it has an effect, and how.
    fn fails(&mut self) -> Option<Failure> {
        let class = match self.outage {
            Some(class) => class,
            None if self.rng.f64() >= self.mood.faults => return None,
            None => {
                let classes = [
                    Class::Transient,
                    Class::Transient,
                    Class::Transient,
                    Class::Throttled,
                    Class::Offline,
                    Class::Auth,
                    Class::Defect,
                ];
                *self.rng.choice(&classes)?
            }
        };
        Some(match class {
            Class::Transient => refusal(class, "InternalServerError"),
            Class::Throttled => Failure {
                retry_after: self.rng.bool().then_some(Duration::from_secs(2)),
                ..refusal(class, "RateLimitExceeded")
            },
            Class::Auth if self.rng.bool() => refusal(class, "NoPermission"),
            Class::Auth => refusal(class, "InvalidAccessToken"),
            Class::Quota => refusal(class, "QuotaLimitReached"),
            Class::Offline | Class::Stale | Class::Permanent | Class::Local | Class::Defect => {
                Failure::new(class, "it failed")
            }
        })
    }

    /// What reading the file says, if it still is what was seen.
    #[expect(clippy::result_large_err, reason = "the error is the outcome itself")]
    fn read(
        &self,
        path: &RelPath,
        expected: crate::fingerprint::Fingerprint,
    ) -> Result<Content, Outcome> {
        if self.disk.root.is_none() {
            return Err(Outcome::RootGone);
        }
        match self.disk.nodes.get(path) {
            None => Err(Outcome::Vanished),
            Some(Node::File { readable: false, .. }) => {
                Err(Outcome::Failed(Failure::new(Class::Local, "permission denied")))
            }
            Some(Node::File { content, print, .. }) if *print == expected => Ok(*content),
            Some(_) => Err(Outcome::Changed),
        }
    }

    fn step(&mut self, effect: Effect) {
        let Effect::Step { transfer, ref path, ref target, fingerprint, ref step, .. } = effect
        else {
            return;
        };
        let outcome = match step {
            Step::Digest => {
                self.hashed += 1;
                self.read(path, fingerprint).map(|content| Outcome::Digested(content.digest()))
            }
            Step::Start(hashes) => self
                .read(path, fingerprint)
                .map(|content| self.start(transfer, target, content, *hashes, None)),
            Step::StartParts { hashes, parts } => self
                .read(path, fingerprint)
                .map(|content| self.start(transfer, target, content, *hashes, Some(*parts))),
            Step::ReadPart { part, .. } => self.read(path, fingerprint).map(|content| {
                let (full_hash, crc64) = content.part(*part);
                Outcome::PartRead { number: part.number, crc64, full_hash }
            }),
            Step::SendPart { confirm_key, part, crc64, .. } => {
                self.read(path, fingerprint).map(|content| {
                    let same = content.part(*part).1 == *crc64;
                    assert!(same, "an equal fingerprint is an equal content");
                    self.send_part(confirm_key, *part, content)
                })
            }
            Step::Post => match (self.forms.remove(&transfer), self.read(path, fingerprint)) {
                (Some(key), Ok(expected)) => {
                    let path = path.clone();
                    let flight = Flight::Posting { transfer, path, expected, step: effect, key };
                    self.flights.push(flight);
                    return;
                }
                (_, Err(outcome)) => Err(outcome),
                (None, _) => panic!("there is no form to post"),
            },
            Step::Confirm { confirm_key, crc64, .. } => {
                self.service.calls += 1;
                Ok(match self.fails() {
                    Some(failure) => {
                        // The answer may be lost after the effect.
                        if failure.class == Class::Transient && self.rng.bool() {
                            let _ = self.service.confirm(confirm_key, *crc64, false);
                        }
                        Outcome::Failed(failure)
                    }
                    None => {
                        let rename = self.mood.faults > 0.0 && self.rng.f64() < 0.01;
                        let (key, crc64) = (confirm_key.clone(), *crc64);
                        self.service.confirm(&key, crc64, rename).unwrap_or_else(Outcome::Failed)
                    }
                })
            }
            Step::Query { confirm_key } => {
                self.service.calls += 1;
                Ok(match self.fails() {
                    Some(failure) => Outcome::Failed(failure),
                    None => self.service.query(confirm_key).unwrap_or_else(Outcome::Failed),
                })
            }
            Step::Look => {
                self.service.calls += 1;
                Ok(match self.fails() {
                    Some(failure) => Outcome::Failed(failure),
                    None => self.service.look(target),
                })
            }
            Step::Cancel { confirm_key } => {
                self.service.calls += 1;
                Ok(match self.fails() {
                    Some(failure) => {
                        self.keys_leaked = true;
                        Outcome::Failed(failure)
                    }
                    None => {
                        self.service.cancel(confirm_key);
                        Outcome::Done
                    }
                })
            }
            Step::Move { from, size, crc64 } => self.read(path, fingerprint).map(|_| {
                self.service.calls += 1;
                match self.fails() {
                    Some(failure) => {
                        if failure.class == Class::Transient && self.rng.bool() {
                            let _ = self.service.move_file(from, target, *size, *crc64);
                        }
                        Outcome::Failed(failure)
                    }
                    None => match self.service.move_file(from, target, *size, *crc64) {
                        Ok(()) => Outcome::Done,
                        Err(failure) => Outcome::Failed(failure),
                    },
                }
            }),
            Step::DeleteCopy { path, crc64, .. } => {
                self.service.calls += 1;
                Ok(match self.fails() {
                    Some(failure) => Outcome::Failed(failure),
                    None => match self.service.delete_copy(path, *crc64) {
                        Ok(()) => Outcome::Done,
                        Err(failure) => Outcome::Failed(failure),
                    },
                })
            }
        };
        let outcome = outcome.unwrap_or_else(|outcome| outcome);
        self.facts.push_back(Fact::Step { transfer, outcome });
    }

    fn start(
        &mut self,
        transfer: TransferId,
        target: &[String],
        content: Content,
        hashes: crate::mirror::step::Hashes,
        parts: Option<u32>,
    ) -> Outcome {
        self.service.calls += 1;
        if let Some(failure) = self.fails() {
            if failure.class == Class::Transient && self.rng.bool() {
                let _ = self.service.start(target, content, hashes, parts);
            }
            return Outcome::Failed(failure);
        }
        let outcome =
            self.service.start(target, content, hashes, parts).unwrap_or_else(Outcome::Failed);
        if let Outcome::Started { confirm_key, .. } = &outcome {
            self.forms.insert(transfer, confirm_key.clone());
            self.service.told.insert(confirm_key.clone());
        }
        outcome
    }

    fn send_part(&mut self, key: &str, part: Part, content: Content) -> Outcome {
        self.service.calls += 1;
        let sent = match self.fails() {
            Some(failure) if failure.class == Class::Transient => {
                if self.rng.bool() {
                    let _ = self.service.take_part(key, part, content);
                }
                Err(failure)
            }
            Some(failure) if failure.class == Class::Auth => {
                Err(refusal(Class::Stale, "AccessDenied"))
            }
            // Other bytes arrive than were sent, and COS says so.
            Some(failure) if failure.class == Class::Defect => {
                let other = Content { id: content.id ^ 1 << 60, ..content };
                let _ = self.service.take_part(key, part, other);
                Err(failure)
            }
            Some(failure) => Err(failure),
            None => self.service.take_part(key, part, content),
        };
        match sent {
            Ok(()) => Outcome::PartSent { number: part.number },
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// All bytes were read. Only if the file held still did the last of them leave.
    pub(super) fn posted(
        &mut self,
        transfer: TransferId,
        path: &RelPath,
        expected: Content,
        step: &Effect,
        key: &str,
    ) {
        let Effect::Step { fingerprint, .. } = step else { return };
        self.service.calls += 1;
        let outcome = match self.read(path, *fingerprint) {
            Err(outcome) => outcome,
            Ok(content) => {
                assert_eq!(content, expected, "an equal fingerprint is an equal content");
                let digest = content.digest();
                match self.fails() {
                    Some(failure) if failure.class == Class::Transient => {
                        if self.rng.bool() {
                            let _ = self.service.post(key, content);
                        }
                        Outcome::PostUnanswered { digest, failure }
                    }
                    // COS knows no tokens: it refuses a form.
                    Some(failure) if failure.class == Class::Auth => {
                        Outcome::Failed(refusal(Class::Stale, "AccessDenied"))
                    }
                    // Other bytes arrive than were sent.
                    Some(failure) if failure.class == Class::Defect => {
                        let other = Content { id: content.id ^ 1 << 60, ..content };
                        match self.service.post(key, other) {
                            Ok(()) => Outcome::Posted { digest, crc64: Some(other.crc64()) },
                            Err(failure) => Outcome::Failed(failure),
                        }
                    }
                    Some(failure) => Outcome::Failed(failure),
                    None => match self.service.post(key, content) {
                        Ok(()) => Outcome::Posted { digest, crc64: Some(content.crc64()) },
                        Err(failure) => Outcome::Failed(failure),
                    },
                }
            }
        };
        self.facts.push_back(Fact::Step { transfer, outcome });
    }
}
