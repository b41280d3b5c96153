//! Several observers of one run, as one.

use std::time::Duration;

use crate::mirror::{Event, Load, Observer};

/// Tells each of them everything, in their order.
pub(super) struct Observers<'a>(pub(super) Vec<&'a mut dyn Observer>);

impl Observer for Observers<'_> {
    fn event(&mut self, event: &Event) {
        for observer in &mut self.0 {
            observer.event(event);
        }
    }

    fn load(&mut self, load: Load) {
        for observer in &mut self.0 {
            observer.load(load);
        }
    }

    fn alive(&mut self) {
        for observer in &mut self.0 {
            observer.alive();
        }
    }

    fn beat(&self) -> Option<Duration> {
        self.0.iter().filter_map(|observer| observer.beat()).min()
    }
}
