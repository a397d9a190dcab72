//! So many within so long: the moments of the last few, and when there is room for one more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Counts what happened within a span that ends now.
pub(super) struct Window {
    limit: usize,
    span: Duration,
    taken: VecDeque<Instant>,
}

// === impl Window ===

impl Window {
    pub(super) fn new((limit, span): (usize, Duration)) -> Self {
        Self {
            limit,
            span,
            taken: VecDeque::new(),
        }
    }

    /// How many more fit now.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.limit - self.taken.len()
    }

    /// When the next one fits; none if it does now.
    pub(super) fn free_at(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        let oldest = *self.taken.front()?;
        (self.taken.len() >= self.limit).then(|| oldest + self.span)
    }

    /// Counts one that happens now; the log never grows beyond the limit.
    pub(super) fn take(&mut self, now: Instant) {
        self.forget(now);
        if self.taken.len() >= self.limit {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
    }

    fn forget(&mut self, now: Instant) {
        while self
            .taken
            .front()
            .is_some_and(|at| now.duration_since(*at) >= self.span)
        {
            self.taken.pop_front();
        }
    }
}
