//! What follows from a call that failed (pure).

use crate::failure::Class;
use crate::mirror::backoff::{self, DEFECT_TRIES};
use crate::smh::Error;

/// Failures in a row, with no byte gained in between, after which an entry is given up: about two minutes.
const TRIES: u32 = 7;
/// The same while nobody ever answered: the address or the network is wrong, and somebody waits for the word.
const FIRST_TRIES: u32 = 3;
/// Downloads that are whole and have another content than the library says. The connection is secured and the length
/// was right: a third one would not be better.
pub(super) const CONTENT_TRIES: u32 = 2;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The same again, after so many milliseconds.
    Again(i64),
    /// The same again, when the service takes more calls.
    WhenCalm,
    /// This entry is given up.
    GiveUp,
    /// Everything is: nobody answers.
    Unreachable,
    /// Everything is: the service lets us in no more.
    Refused,
}

/// Decides after the `failures`-th failure in a row of one piece of work. `answered`: the service was reached before.
/// `dice` in `0.0..1.0`.
pub(super) fn next(error: &Error, failures: u32, answered: bool, dice: f64) -> Next {
    let again = |tries: u32, or: Next| {
        if failures >= tries {
            return or;
        }
        Next::Again(backoff::delay_ms(error.class, failures, error.retry_after, dice))
    };
    match error.class {
        // An address that ended or an object that changed: what it is now is asked for each time.
        Class::Transient | Class::Stale => again(TRIES, Next::GiveUp),
        Class::Offline => again(if answered { TRIES } else { FIRST_TRIES }, Next::Unreachable),
        Class::Defect => again(DEFECT_TRIES, Next::GiveUp),
        Class::Throttled => Next::WhenCalm,
        // These may be said of one path: others may be read.
        Class::Auth if error.is("NoPermission") || error.is("ReadForbidden") => Next::GiveUp,
        Class::Auth => Next::Refused,
        Class::Permanent | Class::Quota | Class::Local => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smh::Operation;

    fn error(class: Class, code: Option<&str>) -> Error {
        Error {
            class,
            operation: Operation::Download,
            status: None,
            code: code.map(str::to_owned),
            message: String::new(),
            request_id: None,
            retry_after: None,
            transport: None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
        for (class, code, first, last) in [
            (Class::Transient, None, Next::Again(500), Next::GiveUp),
            (Class::Stale, None, Next::Again(500), Next::GiveUp),
            (Class::Defect, None, Next::Again(500), Next::GiveUp),
            (Class::Offline, None, Next::Again(500), Next::Unreachable),
            (Class::Throttled, None, Next::WhenCalm, Next::WhenCalm),
            (Class::Auth, Some("NoPermission"), Next::GiveUp, Next::GiveUp),
            (Class::Auth, Some("InvalidAccessToken"), Next::Refused, Next::Refused),
            (Class::Permanent, None, Next::GiveUp, Next::GiveUp),
        ] {
            let error = error(class, code);
            assert_eq!(next(&error, 1, true, 0.0), first, "{class} {code:?}");
            assert_eq!(next(&error, 100, true, 0.0), last, "{class} {code:?}");
        }
        // Who was never reached is waited for a moment only.
        let offline = error(Class::Offline, None);
        assert_eq!(next(&offline, 3, false, 0.0), Next::Unreachable);
        assert_eq!(next(&offline, 3, true, 0.0), Next::Again(500));
    }
}
