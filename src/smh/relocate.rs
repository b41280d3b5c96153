//! Moving copies (shell): what was renamed on disk is renamed in the library. Sheet sections 8 and 9.

use super::client::{Client, acknowledged};
use super::error::Error;
use super::operation::Operation;
use super::path::RemotePath;
use super::remove::FOREIGN;
use super::reply::{Info, Kind};
use crate::failure::Class;

/// What became of a directory that was to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryMoved {
    /// This call moved it.
    Moved,
    /// It is not where it was, and a directory is where it was to go: an earlier call may have moved it.
    Perhaps,
    /// There is nothing to move.
    Nothing,
    /// Something has the name it was to get.
    Taken,
}

impl Client {
    /// Moves the file at `from` to `to`, provided that it has this content and nothing has the other name.
    ///
    /// # Errors
    /// Nothing, or something else, is there, the name is taken, or the service refused.
    pub async fn move_file(
        &self,
        from: &RemotePath,
        to: &RemotePath,
        size: u64,
        crc64: u64,
    ) -> Result<(), Error> {
        if !self.is_ours(from, size, crc64).await? {
            let message = format!("nothing is at {from}");
            let error = Error::local(Operation::Move, Class::Stale, message);
            return Err(Error { code: Some("SourceFileNotFound".to_owned()), ..error });
        }
        let answer = self.call(&self.place.move_file(from, to), &[200, 204]).await?;
        acknowledged(Operation::Move, &answer)
    }

    /// Moves the directory at `from` with everything in it to `to`, whose missing parents are made.
    ///
    /// # Errors
    /// The service refused.
    pub async fn move_directory(
        &self,
        from: &RemotePath,
        to: &RemotePath,
    ) -> Result<DirectoryMoved, Error> {
        let request = self.place.move_directory(from, to);
        match self.call(&request, &[204, 200]).await {
            Ok(answer) => {
                acknowledged(Operation::Move, &answer)?;
                return Ok(DirectoryMoved::Moved);
            }
            Err(error)
                if ["SourceDirectoryNotFound", "SameNameDirectoryOrFileExists"]
                    .iter()
                    .any(|code| error.is(code)) => {}
            Err(error) => return Err(error),
        }
        // Which of the two the service looks at first is not known: look at both.
        let source = self.info(from).await?;
        let target = self.info(to).await?;
        Ok(match (source, target) {
            (Some(_), Some(_)) => DirectoryMoved::Taken,
            (None, Some(Info { kind: Kind::Directory, .. })) => DirectoryMoved::Perhaps,
            (None, Some(_)) => DirectoryMoved::Taken,
            (None, None) => DirectoryMoved::Nothing,
            // A file is in the way of a parent, or somebody removed what was in the way this moment.
            (Some(_), None) => DirectoryMoved::Taken,
        })
    }
}

/// Whether a failure says that what is there is not ours.
#[must_use]
pub fn is_foreign(code: Option<&str>) -> bool {
    code == Some(FOREIGN)
}
