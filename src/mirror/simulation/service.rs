//! A model of the service: a tree, started uploads, and what it answers. Sheet sections 3 to 6, 8, 9 and 14.
//!
//! Written from the sheet, apart from the emulator and from the client.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::Content;
use crate::digest::BEGINNING_LEN;
use crate::failure::Class;
use crate::mirror::facts::{Relocated, RemoteEntry, RemoteListing, Removed};
use crate::mirror::step::{Failure, Hashes, Outcome, Part, Remote, Reply};

/// A started upload.
#[derive(Debug, Clone)]
struct Upload {
    target: Vec<String>,
    object: Option<Content>,
    /// Of an upload in parts: how many there are to be, and what arrived, from which content.
    parts: Option<u32>,
    arrived: BTreeMap<u32, (Content, u64)>,
    confirmed: bool,
}

impl Upload {
    /// What COS has of it.
    fn content(&self) -> Result<Content, Failure> {
        let Some(parts) = self.parts else {
            return self.object.ok_or_else(|| refusal(Class::Transient, "UploadIncomplete"));
        };
        if (1..=parts).any(|number| !self.arrived.contains_key(&number)) {
            return Err(refusal(Class::Transient, "MultipartUploadIncomplete"));
        }
        let mut contents = self.arrived.values().map(|(content, _)| *content);
        let first = contents.next().unwrap_or(Content { id: 0, size: 0 });
        // Parts of different contents make one that nobody ever had.
        let mixed = contents.filter(|content| *content != first).count() as u64;
        Ok(Content { id: first.id ^ mixed << 59, ..first })
    }
}

/// The library.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) files: BTreeMap<Vec<String>, Content>,
    pub(super) dirs: BTreeSet<Vec<String>>,
    uploads: BTreeMap<String, Upload>,
    next_key: u64,
    /// Keys that the client was told.
    pub(super) told: BTreeSet<String>,
    /// Copies that were made under a wrong name, and not removed yet.
    pub(super) copies: BTreeSet<Vec<String>>,
    /// A file was removed that was no such copy.
    pub(super) removed_wrongly: Vec<Vec<String>>,
    /// Files larger than this find no room.
    pub(super) room: Option<u64>,
    /// What is deleted can be had back.
    pub(super) has_bin: bool,
    /// Every call that came.
    pub(super) calls: u64,
    /// Posts that came.
    pub(super) posts: u64,
}

/// A refusal with its class as the client understands it.
pub(super) fn refusal(class: Class, code: &str) -> Failure {
    Failure { code: Some(code.to_owned()), ..Failure::new(class, format!("refused: {code}")) }
}

impl Service {
    fn parent_is_there(&self, path: &[String]) -> bool {
        path.len() <= 1 || path.get(..path.len() - 1).is_some_and(|dir| self.dirs.contains(dir))
    }

    /// Makes a directory with all its parents.
    pub(super) fn create_directory(&mut self, path: &[String]) -> Result<(), Failure> {
        for upto in 1..=path.len() {
            let Some(part) = path.get(..upto) else { continue };
            if self.files.contains_key(part) {
                return Err(refusal(Class::Permanent, "SameNameDirectoryOrFileExists"));
            }
        }
        for upto in 1..=path.len() {
            if let Some(part) = path.get(..upto) {
                self.dirs.insert(part.to_vec());
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &[String]) -> RemoteListing {
        if !path.is_empty() && !self.dirs.contains(path) {
            return RemoteListing::Nothing;
        }
        let directly =
            |other: &Vec<String>| other.len() == path.len() + 1 && other.starts_with(path);
        let dirs = self.dirs.iter().filter(|other| directly(other)).map(|dir| (dir, None));
        let files = self
            .files
            .iter()
            .filter(|(other, _)| directly(other))
            .map(|(file, content)| (file, Some(*content)));
        let entries = dirs
            .chain(files)
            .map(|(path, content)| RemoteEntry {
                name: path.last().cloned().unwrap_or_default(),
                size: content.map(|content| content.size),
                crc64: content.map(Content::crc64),
            })
            .collect();
        RemoteListing::Page { entries, last: true }
    }

    /// Starts an upload of `content` (as hashed by the client) to `target`.
    pub(super) fn start(
        &mut self,
        target: &[String],
        content: Content,
        hashes: Hashes,
        parts: Option<u32>,
    ) -> Result<Outcome, Failure> {
        if target.last().is_some_and(|name| name.contains("poison")) {
            return Err(refusal(Class::Permanent, "SensitiveContentRecognized"));
        }
        if !self.parent_is_there(target) {
            return Err(refusal(Class::Stale, "DirectoryNotFound"));
        }
        if self.dirs.contains(target) {
            return Err(refusal(Class::Permanent, "SameNameDirectoryOrFileExists"));
        }
        let known = content.size >= BEGINNING_LEN && self.files.values().any(|c| *c == content);
        match hashes {
            Hashes::Beginning if known => return Ok(Outcome::NeedFullHash),
            Hashes::Full if known => {
                self.files.insert(target.to_vec(), content);
                let reply = reply(target, content);
                return Ok(Outcome::Instant { digest: content.digest(), reply });
            }
            Hashes::None | Hashes::Beginning | Hashes::Full => {}
        }
        self.next_key += 1;
        let key = format!("key-{}", self.next_key);
        let upload = Upload {
            target: target.to_vec(),
            object: None,
            parts,
            arrived: BTreeMap::new(),
            confirmed: false,
        };
        self.uploads.insert(key.clone(), upload);
        Ok(Outcome::Started { confirm_key: key, expires_at_ms: None })
    }

    /// The bytes of a form arrive.
    pub(super) fn post(&mut self, key: &str, content: Content) -> Result<(), Failure> {
        self.posts += 1;
        match self.uploads.get_mut(key) {
            Some(upload) => {
                upload.object = Some(content);
                Ok(())
            }
            None => Err(refusal(Class::Stale, "AccessDenied")),
        }
    }

    /// A part arrives.
    pub(super) fn take_part(
        &mut self,
        key: &str,
        part: Part,
        content: Content,
    ) -> Result<(), Failure> {
        match self.uploads.get_mut(key).filter(|upload| !upload.confirmed) {
            Some(upload) => {
                upload.arrived.insert(part.number, (content, part.len));
                Ok(())
            }
            None => Err(refusal(Class::Stale, "NoSuchUpload")),
        }
    }

    /// `rename`: another client was at the same path this moment, and the copy gets another name.
    pub(super) fn confirm(
        &mut self,
        key: &str,
        crc64: u64,
        rename: bool,
    ) -> Result<Outcome, Failure> {
        let Some(upload) = self.uploads.get(key).cloned() else {
            return Err(refusal(Class::Stale, "ConfirmKeyNotFound"));
        };
        if upload.confirmed {
            return Err(refusal(Class::Stale, "UploadComplete"));
        }
        let object = upload.content()?;
        if object.crc64() != crc64 {
            return Err(refusal(Class::Defect, "BadCrc64"));
        }
        if self.room.is_some_and(|room| object.size > room) {
            return Err(refusal(Class::Quota, "QuotaLimitReached"));
        }
        if self.dirs.contains(&upload.target) {
            return Err(refusal(Class::Permanent, "SameNameDirectoryOrFileExists"));
        }
        if let Some(upload) = self.uploads.get_mut(key) {
            upload.confirmed = true;
        }
        if !self.parent_is_there(&upload.target) {
            let reply = Reply { path: None, ..reply(&upload.target, object) };
            return Ok(Outcome::Confirmed(reply));
        }
        let mut path = upload.target;
        if rename && let Some(name) = path.last_mut() {
            name.push_str(" (1)");
            self.copies.insert(path.clone());
        }
        self.files.insert(path.clone(), object);
        Ok(Outcome::Confirmed(reply(&path, object)))
    }

    pub(super) fn query(&self, key: &str) -> Result<Outcome, Failure> {
        match self.uploads.get(key) {
            Some(upload) => Ok(Outcome::Queried {
                confirmed: upload.confirmed,
                parts: upload.arrived.iter().map(|(number, (_, len))| (*number, *len)).collect(),
            }),
            None => Err(refusal(Class::Stale, "UploadNotFound")),
        }
    }

    pub(super) fn look(&self, path: &[String]) -> Outcome {
        if let Some(content) = self.files.get(path) {
            return Outcome::Looked(Some(Remote {
                is_file: true,
                size: Some(content.size),
                crc64: Some(content.crc64()),
            }));
        }
        let dir = Remote { is_file: false, size: None, crc64: None };
        Outcome::Looked(self.dirs.contains(path).then_some(dir))
    }

    /// Cancelling what is not known is a success, as the client sees it.
    pub(super) fn cancel(&mut self, key: &str) {
        if self.uploads.get(key).is_some_and(|upload| !upload.confirmed) {
            self.uploads.remove(key);
        }
    }

    pub(super) fn delete_copy(&mut self, path: &[String], crc64: u64) -> Result<(), Failure> {
        match self.files.get(path) {
            Some(content) if content.crc64() == crc64 => {
                self.files.remove(path);
                if !self.copies.remove(path) {
                    self.removed_wrongly.push(path.to_vec());
                }
                Ok(())
            }
            _ => Err(Failure::new(Class::Defect, "it is something else: left alone")),
        }
    }

    fn is_it(&self, path: &[String], size: u64, crc64: u64) -> Option<bool> {
        match self.files.get(path) {
            Some(content) => Some(content.size == size && content.crc64() == crc64),
            None => self.dirs.contains(path).then_some(false),
        }
    }

    /// Deletes a file that has this content, as the client does: it looks first.
    pub(super) fn delete_file(
        &mut self,
        path: &[String],
        size: u64,
        crc64: u64,
        permanent: bool,
    ) -> Removed {
        match self.is_it(path, size, crc64) {
            None => Removed::Nothing,
            Some(false) => Removed::Foreign("it is something else".into()),
            Some(true) => {
                self.files.remove(path);
                if self.has_bin && !permanent { Removed::Recycled } else { Removed::ForGood }
            }
        }
    }

    /// Deletes a directory with nothing in it, as the client does: it looks first.
    pub(super) fn delete_directory(&mut self, path: &[String], permanent: bool) -> Removed {
        if !self.dirs.contains(path) {
            return match self.files.contains_key(path) {
                true => Removed::Foreign("it is a file".into()),
                false => Removed::Nothing,
            };
        }
        let inside = |other: &Vec<String>| other.len() > path.len() && other.starts_with(path);
        if self.files.keys().any(inside) || self.dirs.iter().any(inside) {
            return Removed::Foreign("something is in it".into());
        }
        self.dirs.remove(path);
        if self.has_bin && !permanent { Removed::Recycled } else { Removed::ForGood }
    }

    /// Moves a file that has this content to a name that nothing has.
    pub(super) fn move_file(
        &mut self,
        from: &[String],
        to: &[String],
        size: u64,
        crc64: u64,
    ) -> Result<(), Failure> {
        match self.is_it(from, size, crc64) {
            None => return Err(refusal(Class::Stale, "SourceFileNotFound")),
            Some(false) => return Err(refusal(Class::Permanent, "NotOurs")),
            Some(true) => {}
        }
        if !self.parent_is_there(to) {
            return Err(refusal(Class::Stale, "DirectoryNotFound"));
        }
        if self.files.contains_key(to) || self.dirs.contains(to) {
            return Err(refusal(Class::Permanent, "SameNameDirectoryOrFileExists"));
        }
        if to.last().is_some_and(|name| name.contains("poison")) {
            return Err(refusal(Class::Permanent, "SensitiveContentRecognized"));
        }
        if let Some(content) = self.files.remove(from) {
            self.files.insert(to.to_vec(), content);
        }
        Ok(())
    }

    /// Moves a directory with everything in it, and makes the parents of its new place.
    pub(super) fn move_directory(
        &mut self,
        from: &[String],
        to: &[String],
    ) -> Result<Relocated, Failure> {
        let there = |path: &[String]| (self.dirs.contains(path), self.files.contains_key(path));
        match (there(from), there(to)) {
            ((true, _), (false, false)) => {}
            ((true, _), _) | (_, (_, true)) => return Ok(Relocated::Taken),
            (_, (true, _)) => return Ok(Relocated::Perhaps),
            _ => return Ok(Relocated::Nothing),
        }
        if to.starts_with(from) {
            return Err(refusal(Class::Defect, "SourceDirectoryIsParentOfDestination"));
        }
        let parents = to.get(..to.len().saturating_sub(1)).unwrap_or_default().to_vec();
        if (1..=parents.len())
            .any(|upto| parents.get(..upto).is_some_and(|p| self.files.contains_key(p)))
        {
            return Ok(Relocated::Taken);
        }
        self.create_directory(&parents)?;
        let rebased = |path: &Vec<String>| -> Vec<String> {
            to.iter().chain(path.get(from.len()..).unwrap_or_default()).cloned().collect()
        };
        let dirs: Vec<_> = self.dirs.iter().filter(|dir| dir.starts_with(from)).cloned().collect();
        for dir in dirs {
            self.dirs.remove(&dir);
            self.dirs.insert(rebased(&dir));
        }
        let files: Vec<_> =
            self.files.keys().filter(|file| file.starts_with(from)).cloned().collect();
        for file in files {
            if self.copies.remove(&file) {
                self.copies.insert(rebased(&file));
            }
            if let Some(content) = self.files.remove(&file) {
                self.files.insert(rebased(&file), content);
            }
        }
        Ok(Relocated::Moved)
    }

    /// Time passes: the service forgets an upload that nobody confirmed.
    pub(super) fn forget_upload(&mut self, nth: usize) {
        let open: Vec<String> = self.open().cloned().collect();
        if let Some(key) = open.get(nth % open.len().max(1)) {
            self.uploads.remove(key);
        }
    }

    /// Somebody removes an empty directory behind our back.
    pub(super) fn lose_empty_directory(&mut self, nth: usize) {
        let empty: Vec<Vec<String>> = self
            .dirs
            .iter()
            .filter(|dir| {
                !self.files.keys().any(|file| file.starts_with(dir))
                    && !self
                        .dirs
                        .iter()
                        .any(|other| other.len() > dir.len() && other.starts_with(dir))
            })
            .cloned()
            .collect();
        if let Some(dir) = empty.get(nth % empty.len().max(1)) {
            self.dirs.remove(dir);
        }
    }

    fn open(&self) -> impl Iterator<Item = &String> {
        self.uploads.iter().filter(|(_, upload)| !upload.confirmed).map(|(key, _)| key)
    }

    /// Uploads that the client was told of and that are neither confirmed nor cancelled.
    pub(super) fn left_open(&self) -> Vec<String> {
        self.open().filter(|key| self.told.contains(*key)).cloned().collect()
    }
}

fn reply(path: &[String], content: Content) -> Reply {
    Reply { path: Some(path.to_vec()), size: Some(content.size), crc64: Some(content.crc64()) }
}
