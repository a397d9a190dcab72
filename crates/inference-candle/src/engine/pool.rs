//! The pasts of sequences that rest, to be gone on with.
//!
//! A new prompt takes over what its own conversation left, or copies the beginning of another
//! past where that is the same tokens (a persona's prompt).
//! Pasts are compared by tokens alone: what a sequence gets from another is exactly what it would
//! have computed from its own tokens.
//!
//! Invariant: memory of all pasts, resting or not, stays within the limit as far as resting ones
//! can be given up.

use super::forward::{Failure, Memory};

/// A shared beginning shorter than this is computed anew.
const SHARED_MIN: usize = 16;

/// Resting pasts, and the limit on all.
#[derive(Debug)]
pub(super) struct Pool<P> {
    resting: Vec<Resting<P>>,
    bytes_max: usize,
    clock: u64,
}

#[derive(Debug)]
struct Resting<P> {
    tokens: Vec<u32>,
    past: P,
    conversation: Option<u64>,
    used: u64,
}

// === impl Pool ===

impl<P: Memory> Pool<P> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            resting: Vec::new(),
            bytes_max,
            clock: 0,
        }
    }

    /// The best beginning for a prompt among the resting pasts and those at work; `None` for none.
    ///
    /// At least the prompt's last token is left to be computed.
    pub(super) fn begin<'a>(
        &mut self,
        prompt: &[u32],
        conversation: Option<u64>,
        working: impl Iterator<Item = (&'a [u32], &'a P)>,
    ) -> Result<Option<P>, Failure>
    where
        P: 'a,
    {
        self.clock += 1;
        let most = prompt.len().saturating_sub(1);
        let own = self
            .resting
            .iter()
            .position(|one| one.conversation.is_some() && one.conversation == conversation);
        let shared_of = |one: &Resting<P>| shared(&one.tokens, prompt).min(most);
        let best = (0..self.resting.len()).max_by_key(|&i| shared_of(&self.resting[i]));
        let best = best.map(|i| (i, shared_of(&self.resting[i])));
        let lent = working
            .map(|(tokens, past)| (past, shared(tokens, prompt).min(past.tokens()).min(most)))
            .max_by_key(|&(_, shared)| shared)
            .filter(|&(_, shared)| shared >= SHARED_MIN);
        let lent_shared = lent.map_or(0, |(_, shared)| shared);

        if let Some(i) = own {
            let own_shared = shared_of(&self.resting[i]);
            let others = best.map_or(0, |(_, shared)| shared).max(lent_shared);
            if own_shared >= others || own_shared + SHARED_MIN > others {
                let mut past = self.resting.swap_remove(i).past;
                past.truncate(own_shared);
                return Ok(Some(past));
            }
        }
        let begun = match best {
            Some((i, shared)) if shared >= SHARED_MIN && shared >= lent_shared => {
                let one = &mut self.resting[i];
                one.used = self.clock;
                // What nobody can come back to by name is worth keeping only for its beginning.
                if one.conversation.is_none() && shared * 2 >= one.tokens.len() {
                    let mut past = self.resting.swap_remove(i).past;
                    past.truncate(shared);
                    Some(past)
                } else {
                    Some(one.past.fork(shared)?)
                }
            }
            _ => lent.map(|(past, shared)| past.fork(shared)).transpose()?,
        };
        // The conversation begins anew; what it left is of no use to it any more.
        self.resting
            .retain(|one| one.conversation.is_none() || one.conversation != conversation);
        Ok(begun)
    }

    /// Lets a past rest.
    pub(super) fn rest(&mut self, mut tokens: Vec<u32>, past: P, conversation: Option<u64>) {
        self.clock += 1;
        tokens.truncate(past.tokens());
        if tokens.is_empty() {
            return;
        }
        if conversation.is_some() {
            self.resting.retain(|one| one.conversation != conversation);
        }
        self.resting.push(Resting {
            tokens,
            past,
            conversation,
            used: self.clock,
        });
    }

    /// Gives up the pasts that rested longest until all fit beside so many bytes at work.
    pub(super) fn fit(&mut self, working: usize) {
        let mut bytes: usize = self.resting.iter().map(|one| one.past.bytes()).sum();
        while bytes + working > self.bytes_max && !self.resting.is_empty() {
            let oldest = (0..self.resting.len())
                .min_by_key(|&i| self.resting[i].used)
                .expect("it is not empty");
            bytes -= self.resting.swap_remove(oldest).past.bytes();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.resting.clear();
    }

    /// The limit on the memory of all pasts.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

/// The length of the common beginning.
fn shared(left: &[u32], right: &[u32]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Words(Vec<u32>);

    impl Memory for Words {
        fn tokens(&self) -> usize {
            self.0.len()
        }
        fn bytes(&self) -> usize {
            self.0.len()
        }
        fn truncate(&mut self, tokens: usize) {
            self.0.truncate(tokens);
        }
        fn fork(&self, tokens: usize) -> Result<Self, Failure> {
            Ok(Self(self.0[..tokens].to_vec()))
        }
    }

    fn rest(pool: &mut Pool<Words>, tokens: impl IntoIterator<Item = u32>, of: Option<u64>) {
        let tokens: Vec<u32> = tokens.into_iter().collect();
        pool.rest(tokens.clone(), Words(tokens), of);
    }

    fn begin(pool: &mut Pool<Words>, prompt: &[u32], of: Option<u64>) -> usize {
        let past = pool.begin(prompt, of, std::iter::empty()).unwrap();
        past.map_or(0, |past| {
            assert_eq!(
                past.0,
                prompt[..past.0.len()],
                "only the prompt's own tokens"
            );
            past.0.len()
        })
    }

    #[test]
    fn a_conversation_goes_on_where_it_was() {
        let mut pool = Pool::new(1000);
        rest(&mut pool, 0..50, Some(1));
        let prompt: Vec<u32> = (0..60).collect();
        assert_eq!(begin(&mut pool, &prompt, Some(1)), 50);
        assert_eq!(begin(&mut pool, &prompt, Some(1)), 0, "it was taken");
        rest(&mut pool, 0..60, Some(1));
        assert_eq!(
            begin(&mut pool, &prompt, Some(1)),
            59,
            "the last token is computed"
        );
    }

    #[test]
    fn a_long_common_beginning_is_copied_and_a_short_one_is_not() {
        let mut pool = Pool::new(1000);
        rest(&mut pool, (0..40).chain(100..120), Some(1));
        let prompt: Vec<u32> = (0..40).chain(200..230).collect();
        assert_eq!(begin(&mut pool, &prompt, Some(2)), 40);
        assert_eq!(
            begin(&mut pool, &prompt, None),
            40,
            "the lender keeps its own"
        );
        let other: Vec<u32> = (0..10).chain(200..230).collect();
        assert_eq!(begin(&mut pool, &other, Some(3)), 0);
    }

    #[test]
    fn who_is_at_work_lends_too() {
        let mut pool: Pool<Words> = Pool::new(1000);
        let (tokens, past): (Vec<u32>, _) = ((0..50).collect(), Words((0..30).collect()));
        let prompt: Vec<u32> = (0..48).collect();
        let begun = pool
            .begin(&prompt, None, [(&tokens[..], &past)].into_iter())
            .unwrap();
        assert_eq!(
            begun.map(|past| past.0.len()),
            Some(30),
            "no more than it has computed"
        );
    }

    #[test]
    fn a_conversation_that_begins_anew_gives_up_its_past() {
        let mut pool = Pool::new(1000);
        rest(&mut pool, 500..550, Some(1));
        rest(&mut pool, 0..40, Some(2));
        let prompt: Vec<u32> = (0..45).collect();
        assert_eq!(begin(&mut pool, &prompt, Some(1)), 40);
        assert_eq!(pool.resting.len(), 1);
    }

    #[test]
    fn gives_up_what_rested_longest() {
        let mut pool = Pool::new(100);
        for conversation in 0..5 {
            rest(
                &mut pool,
                (0..30).map(|i| i + conversation as u32 * 1000),
                Some(conversation),
            );
            pool.fit(20);
        }
        let left: Vec<_> = pool
            .resting
            .iter()
            .filter_map(|one| one.conversation)
            .collect();
        assert_eq!(left.len(), 2);
        assert!(left.contains(&3) && left.contains(&4), "{left:?}");
        pool.fit(1000);
        assert!(pool.resting.is_empty());
    }
}
