//! Growing pauses between attempts, with jitter so that many do not come back at once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

/// The pauses of one kind of trouble.
#[derive(Debug)]
pub(crate) struct Backoff {
    floor: Duration,
    ceiling: Duration,
    next: Duration,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(floor: Duration, ceiling: Duration) -> Self {
        Self {
            floor,
            ceiling,
            next: floor,
        }
    }

    /// The pause before the next attempt: never below the floor, at most half more than planned.
    pub(crate) fn pause(&mut self) -> Duration {
        let planned = self.next;
        self.next = (planned * 2).min(self.ceiling);
        planned + planned.mul_f64(jitter() / 2.0)
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.next = self.floor;
    }
}

/// Anything from 0 to 1. The keys of the standard library's maps are random enough for this.
fn jitter() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(bits as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_ceiling_and_start_over() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 5);
        for planned in [1, 2, 4, 5, 5] {
            let pause = backoff.pause();
            assert!(pause >= second * planned && pause <= second * planned * 3 / 2);
        }
        backoff.reset();
        assert!(backoff.pause() < second * 2);
    }
}
