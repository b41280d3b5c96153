//! What a daemon can tell of itself, from run to run.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Text};
use crate::mirror::{Progress, Sending};

/// What is asked of it through the control socket.
#[derive(Debug, Default)]
pub(super) struct Live {
    sending: Mutex<Option<Arc<Sending>>>,
    /// The text of the configuration in force.
    text: Mutex<Option<Text>>,
}

impl Live {
    /// Another run sends from now on.
    pub(super) fn set_sending(&self, sending: Arc<Sending>) {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = Some(sending);
    }

    /// Another configuration is in force.
    pub(super) fn set_config(&self, config: &Config) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(config.text.clone());
    }

    /// The text of the configuration in force; `None`: none is yet.
    pub(super) fn configuration(&self) -> Option<String> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.as_ref().map(|text| text.0.to_string())
    }

    /// The uploads that run now.
    pub(super) fn uploads(&self) -> Vec<Progress> {
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sending.map(|sending| sending.now()).unwrap_or_default()
    }
}
