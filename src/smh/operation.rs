//! The calls there are (pure).

/// The call that failed: an answer can only be understood by what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Make or renew an access token.
    Token,
    /// Make a directory.
    CreateDirectory,
    /// Look at a file or directory.
    Info,
    /// List a directory.
    List,
    /// Ask for an upload form.
    Start,
    /// Post the form to COS.
    Post,
    /// Send a part of the content to COS.
    Part,
    /// Ask for new signatures for parts.
    Renew,
    /// Make the file visible.
    Confirm,
    /// Ask for the state of an upload.
    Status,
    /// Cancel an upload.
    Cancel,
    /// Delete a file or a directory.
    Delete,
    /// Move a file or a directory.
    Move,
    /// Fetch content from COS.
    Download,
    /// Ask whether the library has a recycle bin.
    RecycleBin,
    /// Ask how much the space may hold.
    Quota,
}

impl Operation {
    /// The name of the call in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Operation::Token => "token",
            Operation::CreateDirectory => "create_directory",
            Operation::Info => "info",
            Operation::List => "list",
            Operation::Start => "start",
            Operation::Post => "post",
            Operation::Part => "part",
            Operation::Renew => "renew",
            Operation::Confirm => "confirm",
            Operation::Status => "status",
            Operation::Cancel => "cancel",
            Operation::Delete => "delete",
            Operation::Move => "move",
            Operation::Download => "download",
            Operation::RecycleBin => "recycle_bin",
            Operation::Quota => "quota",
        }
    }

    /// For messages: what was tried.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Operation::Token => "get an access token",
            Operation::CreateDirectory => "create the directory",
            Operation::Info => "look at the remote file",
            Operation::List => "list the remote directory",
            Operation::Start => "start the upload",
            Operation::Post => "send the content",
            Operation::Part => "send a part of the content",
            Operation::Renew => "renew the signatures of the upload",
            Operation::Confirm => "confirm the upload",
            Operation::Status => "ask for the state of the upload",
            Operation::Cancel => "cancel the upload",
            Operation::Delete => "delete the copy",
            Operation::Move => "move the copy",
            Operation::Download => "download the content",
            Operation::RecycleBin => "ask for the recycle bin",
            Operation::Quota => "ask for the quota of the space",
        }
    }
}
