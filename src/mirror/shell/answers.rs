//! What answers of the service mean for the heart (pure).

use crate::failure::Class;
use crate::mirror::step::{Failure, Outcome, Reply};
use crate::smh::{Confirmed, Operation};

/// What the service says of a file.
pub(super) fn reply(confirmed: Confirmed) -> Reply {
    Reply { path: confirmed.path, size: confirmed.size, crc64: confirmed.crc64 }
}

/// What went wrong, as the heart judges it.
pub(super) fn failure(error: crate::smh::Error) -> Failure {
    let class = match (error.operation, error.class) {
        // Without a token nothing works: whatever the answer was, no entry is to blame for it.
        (Operation::Token, Class::Defect | Class::Transient) => Class::Offline,
        (_, class) => class,
    };
    Failure {
        class,
        code: error.code.clone(),
        message: error.to_string(),
        request_id: error.request_id,
        retry_after: error.retry_after,
        of_content: matches!(error.operation, Operation::Post | Operation::Part),
    }
}

/// The same as the outcome of a step.
pub(super) fn refused(error: crate::smh::Error) -> Outcome {
    Outcome::Failed(failure(error))
}

/// There is nobody to ask.
pub(super) fn no_client() -> Failure {
    Failure::new(Class::Defect, "nothing is sent in a dry run")
}
