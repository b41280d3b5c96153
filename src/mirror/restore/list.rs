//! One try to look at a path or a page of a directory of the library, and to make that directory in the target (shell).

use std::sync::Arc;

use super::fetch::{Failed, Shared, blocking};
use super::plan::{Nowhere, Placed, Placing};
use crate::config::Names;
use crate::relpath::RelPath;
use crate::smh::{Info, RemotePath, Rounds};

/// A directory of the library, from some page on.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) remote: RemotePath,
    pub(super) local: RelPath,
    /// Where the next page begins; `None`: at the first entry.
    pub(super) marker: Option<String>,
    pub(super) placing: Placing,
    pub(super) rounds: Rounds,
}

impl Folder {
    /// The directory from its first entry on.
    pub(super) fn new(names: Names, remote: RemotePath, local: RelPath) -> Folder {
        let placing = Placing::new(names, &local);
        Folder { remote, local, marker: None, placing, rounds: Rounds::default() }
    }
}

/// What a page showed.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) placed: Vec<Placed>,
    pub(super) nowhere: Vec<Nowhere>,
    /// The directory with what is still to be listed of it.
    pub(super) rest: Option<Folder>,
}

/// Lists one page. The directory is made in the target as soon as the library shows that it is there.
pub(super) async fn page(shared: &Arc<Shared>, mut folder: Folder) -> Result<Page, Failed> {
    let listed = shared.client.list(&folder.remote, folder.marker.as_deref()).await;
    let listed = match listed {
        Ok(page) => page,
        Err(error) if error.says_nothing_is_there() => return Err(Failed::Vanished),
        Err(error) => return Err(Failed::Remote { error, ready: 0 }),
    };
    if folder.marker.is_none() {
        let local = folder.local.clone();
        blocking(shared, move |shared| shared.target.make_dir(&local)).await?;
    }
    let (mut placed, mut nowhere) = folder.placing.page(listed.contents);
    let rest = match listed.next_marker {
        // Pages that lead to each other would be read for ever.
        Some(next) if folder.rounds.closes(&next) => {
            return Err(Failed::Content {
                why: "the library lists the same page again and again".to_owned(),
                resumed: false,
            });
        }
        Some(next) => Some(Folder { marker: Some(next), ..folder }),
        None => {
            let (last, none) = folder.placing.end();
            placed.extend(last);
            nowhere.extend(none);
            None
        }
    };
    Ok(Page { placed, nowhere, rest })
}

/// What is at a path that somebody named.
pub(super) async fn look(shared: &Arc<Shared>, remote: &RemotePath) -> Result<Info, Failed> {
    let info =
        shared.client.info(remote).await.map_err(|error| Failed::Remote { error, ready: 0 })?;
    info.ok_or(Failed::Vanished)
}
