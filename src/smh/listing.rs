//! Whole directories (shell): page after page, up to the last one.

use super::client::Client;
use super::error::Error;
use super::path::RemotePath;
use super::reply::Entry;
use super::rounds::Rounds;

impl Client {
    /// Hands over every entry of a directory, a page at a time. Gives whether there is such a directory.
    ///
    /// What comes or goes while it is listed may be missed or come twice, since the pages are counted (sheet
    /// section 8), and a listing may lag behind a confirm (section 14): what it does not show is not proven to be
    /// missing.
    ///
    /// # Errors
    /// The service refused or could not be understood. Then nothing is known beyond the pages that came.
    pub async fn list_all(
        &self,
        dir: &RemotePath,
        mut page: impl FnMut(Vec<Entry>),
    ) -> Result<bool, Error> {
        let mut marker: Option<String> = None;
        let mut rounds = Rounds::default();
        loop {
            let listed = match self.list(dir, marker.as_deref()).await {
                Ok(listed) => listed,
                Err(error) if marker.is_none() && is_nothing(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            page(listed.contents);
            match listed.next_marker {
                Some(next) if !rounds.closes(&next) => marker = Some(next),
                _ => return Ok(true),
            }
        }
    }
}

/// There is no such directory (sheet sections 8 and 11).
fn is_nothing(error: &Error) -> bool {
    ["DirectoryNotFound", "PathNotFound", "InvalidSpaceOrDirectoryPath"]
        .iter()
        .any(|code| error.is(code))
}
