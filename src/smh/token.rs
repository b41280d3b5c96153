//! The access token in use (shell): had once for all who wait, replaced when it is refused.
//! Sheet section 2.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use secrecy::{ExposeSecret, SecretString};

use super::error::Error;
use super::issuer::{Held, Issuer};

/// One attempt to get a token. Whoever needs one while it is under way waits for the same outcome, good
/// or bad: a service that is down is asked once, not once by each of those who wait.
type Flight = Shared<Flying>;
type Flying = BoxFuture<'static, Result<Arc<SecretString>, Error>>;

/// Why a token is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// There is none, or its period nears its end.
    Due,
    /// The one in use was refused.
    Refused,
}

/// The token of a client.
#[derive(Debug)]
pub(super) struct Tokens {
    shared: Arc<SharedState>,
}

#[derive(Debug)]
struct SharedState {
    issuer: Issuer,
    /// Locked for moments only, never while anything is waited for.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Under way, unless all who waited for it went away: then it is dropped half-way, and forgotten.
    flight: Option<(WeakShared<Flying>, Why)>,
    /// Flights because of a refusal that have landed.
    landed: u64,
    /// What the last of them failed with.
    failure: Option<Error>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("held", &self.held).finish_non_exhaustive()
    }
}

/// A token, and when it was taken: so that its refusal can be told from news of later.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) token: Arc<SecretString>,
    landed: u64,
}

impl Ticket {
    fn is(&self, token: &SecretString) -> bool {
        self.token.expose_secret() == token.expose_secret()
    }

    /// Whether both are for the same token.
    pub(super) fn is_same(&self, other: &Ticket) -> bool {
        self.is(&other.token)
    }
}

impl Tokens {
    pub(super) fn new(issuer: Issuer) -> Tokens {
        Tokens { shared: Arc::new(SharedState { issuer, state: Mutex::default() }) }
    }

    /// What makes the tokens.
    pub(super) fn issuer(&self) -> &Issuer {
        &self.shared.issuer
    }

    /// The token to use now.
    pub(super) async fn get(&self) -> Result<Ticket, Error> {
        let flight = {
            let mut state = self.shared.lock();
            let now_ms = self.shared.issuer.api.clock.now().mono_ms;
            match &state.held {
                Some(held) if !held.is_due(now_ms) => return Ok(state.ticket(&held.token)),
                _ => self.join(&mut state, Why::Due).0,
            }
        };
        let token = flight.await?;
        Ok(self.shared.lock().ticket(&token))
    }

    /// Another token, after this one was refused. The same one again: there is no other to be had.
    pub(super) async fn replace(&self, refused: &Ticket) -> Result<Ticket, Error> {
        loop {
            let (flight, why) = {
                let mut state = self.shared.lock();
                if let Some(held) = &state.held
                    && !refused.is(&held.token)
                {
                    return Ok(state.ticket(&held.token));
                }
                // Others had it refused as well, and what came of that holds for us too.
                if state.landed > refused.landed {
                    return state.failure.clone().map_or_else(|| Ok(refused.clone()), Err);
                }
                self.join(&mut state, Why::Refused)
            };
            let token = flight.await?;
            if why == Why::Refused || !refused.is(&token) {
                return Ok(self.shared.lock().ticket(&token));
            }
            // A renewal was under way and gave back what was refused: look again.
        }
    }

    /// Deletes the token in use, if it was made here. Tokens of somebody else are not ours to delete.
    pub(super) async fn give_back(&self) -> Result<(), Error> {
        let held = self.shared.lock().held.take();
        match held {
            Some(held) if self.shared.issuer.holds_secret() => {
                self.shared.issuer.delete(&held.token).await
            }
            _ => Ok(()),
        }
    }

    fn join(&self, state: &mut State, why: Why) -> (Flight, Why) {
        if let Some((flight, why)) = &state.flight
            && let Some(flight) = flight.upgrade()
        {
            return (flight, *why);
        }
        let flight = fly(Arc::clone(&self.shared), why).boxed().shared();
        state.flight = flight.downgrade().map(|weak| (weak, why));
        (flight, why)
    }
}

impl SharedState {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ticket(&self, token: &Arc<SecretString>) -> Ticket {
        Ticket { token: Arc::clone(token), landed: self.landed }
    }
}

async fn fly(shared: Arc<SharedState>, why: Why) -> Result<Arc<SecretString>, Error> {
    let before = shared.lock().held.clone();
    let outcome = match (before, why) {
        (Some(held), Why::Due) => Ok(shared.issuer.refresh(held).await),
        (None, Why::Due) | (_, Why::Refused) => shared.issuer.fetch().await,
    };
    let mut state = shared.lock();
    state.flight = None;
    if why == Why::Refused {
        state.landed += 1;
        state.failure = outcome.as_ref().err().cloned();
    }
    let held = outcome?;
    shared.issuer.api.meter.token_ends(held.ends_at_ms());
    let token = Arc::clone(&held.token);
    state.held = Some(held);
    Ok(token)
}
