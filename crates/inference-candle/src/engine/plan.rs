//! How many tokens of which sequence the next step takes.
//!
//! Every reply grows by one token each step; prompts are taken in pieces beside them, so that no
//! reply stalls for longer than a piece takes.

/// Rows of prompts in a step that no reply waits for.
const PROMPT_ALONE: usize = 256;
/// Rows of prompts in a step beside replies.
const PROMPT_BESIDE: usize = 64;
/// Fewer rows than this are not worth a turn.
const PIECE_MIN: usize = 16;
/// What nobody waits for moves in every such step while somebody waits for something else.
const BACKGROUND_EVERY: u64 = 4;

/// What a sequence has before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Tokens that are known and not computed yet; at least 1.
    pub(super) tokens: usize,
    /// Whether the reply has begun.
    pub(super) replying: bool,
    /// Whether nobody waits for it.
    pub(super) background: bool,
}

/// The number of tokens to take from each.
pub(super) fn plan(pending: &[Pending], turn: u64) -> Vec<usize> {
    let mut take = vec![0; pending.len()];
    let urgent = pending.iter().any(|one| !one.background);
    let moves = |one: &Pending| !one.background || !urgent || turn.is_multiple_of(BACKGROUND_EVERY);

    let mut replying = false;
    for (take, one) in take.iter_mut().zip(pending) {
        if one.replying && moves(one) {
            *take = one.tokens;
            replying = true;
        }
    }
    let mut prompts: Vec<usize> = (0..pending.len())
        .filter(|&i| !pending[i].replying && moves(&pending[i]))
        .collect();
    if prompts.is_empty() {
        return take;
    }
    // Another one is first each time, so that the last rows are not always the same one's loss.
    let first = turn as usize % prompts.len();
    prompts.rotate_left(first);
    prompts.sort_by_key(|&i| pending[i].background);
    let mut left = if replying {
        PROMPT_BESIDE
    } else {
        PROMPT_ALONE
    };
    let count = prompts.len();
    for (done, i) in prompts.into_iter().enumerate() {
        let share = (left / (count - done)).max(PIECE_MIN).min(left);
        take[i] = pending[i].tokens.min(share);
        left -= take[i];
    }
    take
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(tokens: usize) -> Pending {
        Pending {
            tokens,
            replying: false,
            background: false,
        }
    }

    const REPLY: Pending = Pending {
        tokens: 1,
        replying: true,
        background: false,
    };

    #[test]
    fn takes() {
        let hidden = |one: Pending| Pending {
            background: true,
            ..one
        };
        for (what, pending, turn, wanted) in [
            ("nothing", vec![], 0, vec![]),
            ("a short prompt whole", vec![prompt(5)], 0, vec![5]),
            ("a long prompt in pieces", vec![prompt(900)], 0, vec![256]),
            (
                "smaller pieces beside a reply",
                vec![REPLY, prompt(900)],
                0,
                vec![1, 64],
            ),
            ("every reply", vec![REPLY, REPLY], 3, vec![1, 1]),
            (
                "equal shares",
                vec![prompt(900), prompt(900)],
                0,
                vec![128, 128],
            ),
            (
                "what others leave",
                vec![prompt(6), prompt(900)],
                0,
                vec![6, 250],
            ),
            (
                "urgent ones alone",
                vec![hidden(REPLY), prompt(9)],
                1,
                vec![0, 9],
            ),
            (
                "all now and then",
                vec![hidden(REPLY), prompt(9)],
                4,
                vec![1, 9],
            ),
            (
                "background alone",
                vec![hidden(REPLY), hidden(prompt(9))],
                1,
                vec![1, 9],
            ),
        ] {
            assert_eq!(plan(&pending, turn), wanted, "{what}");
        }
    }

    #[test]
    fn every_prompt_moves_within_a_round_and_the_budget_holds() {
        let pending: Vec<Pending> = (0..12)
            .map(|_| prompt(500))
            .chain(std::iter::once(REPLY))
            .collect();
        let mut moved = vec![0; pending.len()];
        for turn in 0..12 {
            let take = plan(&pending, turn);
            assert!(take.iter().sum::<usize>() <= PROMPT_BESIDE + 1);
            for (moved, take) in moved.iter_mut().zip(&take) {
                *moved += take;
            }
        }
        assert!(moved.iter().all(|&tokens| tokens >= 12), "{moved:?}");
    }
}
