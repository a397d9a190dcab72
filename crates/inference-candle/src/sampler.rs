//! The choice of the next token from the scores of all.
//!
//! The penalty for repeating comes first, then temperature, then the cuts (`top_k`, `top_p`,
//! `min_p`), then the draw.
//! A score that is no number is never chosen.

use std::cmp::Ordering;
use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tertulia_inference::Sampling;

/// How far back a repetition counts.
const LATELY: usize = 64;

/// Chooses one sequence's tokens.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: StdRng,
    lately: VecDeque<u32>,
}

// === impl Sampler ===

impl Sampler {
    /// Chooses as asked; without a seed in the sampling, this one.
    pub fn new(sampling: &Sampling, seed: u64) -> Self {
        let seed = sampling.seed.unwrap_or(seed);
        Self {
            sampling: sampling.clone(),
            random: StdRng::seed_from_u64(seed),
            lately: VecDeque::with_capacity(LATELY),
        }
    }

    /// Takes note of a token that is part of the text now.
    pub fn saw(&mut self, token: u32) {
        if self.lately.len() == LATELY {
            self.lately.pop_front();
        }
        self.lately.push_back(token);
    }

    /// Chooses the next token.
    pub fn choose(&mut self, scores: &mut [f32]) -> u32 {
        punish(scores, &self.lately, self.sampling.repetition_penalty);
        if self.sampling.temperature <= 0.0 {
            return most_likely(scores);
        }
        let candidates = candidates(scores, &self.sampling);
        draw(&candidates, self.random.random::<f64>()).unwrap_or_else(|| most_likely(scores))
    }
}

/// The token with the highest score, the lowest of equals.
pub fn most_likely(scores: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (token, score);
        }
    }
    best.0 as u32
}

/// Makes tokens that occurred lately less likely.
fn punish(scores: &mut [f32], lately: &VecDeque<u32>, penalty: f32) {
    if (penalty - 1.0).abs() <= f32::EPSILON {
        return;
    }
    let mut tokens: Vec<u32> = lately.iter().copied().collect();
    tokens.sort_unstable();
    tokens.dedup();
    for token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score > 0.0 {
                *score / penalty
            } else {
                *score * penalty
            };
        }
    }
}

/// What may be chosen, each with its weight relative to the most likely; the same order for the
/// same scores, so that a seed repeats itself.
fn candidates(scores: &[f32], sampling: &Sampling) -> Vec<(u32, f64)> {
    let most = scores
        .iter()
        .copied()
        .filter(|score| !score.is_nan())
        .fold(f32::MIN, f32::max);
    let most = most.min(f32::MAX);
    // What is less likely than this adds up to nothing in any vocabulary.
    let least = most - 40.0 * sampling.temperature;
    let mut weighed: Vec<(u32, f64)> = scores
        .iter()
        .enumerate()
        .filter(|&(_, &score)| score >= least)
        .map(|(token, &score)| {
            let distance = (score.min(f32::MAX) - most) / sampling.temperature;
            (token as u32, f64::from(distance.exp()))
        })
        .filter(|&(_, weight)| weight >= f64::from(sampling.min_p))
        .collect();
    if sampling.top_k > 0 {
        heaviest(&mut weighed, sampling.top_k);
    }
    if sampling.top_p < 1.0 {
        nucleus(&mut weighed, f64::from(sampling.top_p));
    }
    weighed
}

/// Keeps only so many of the heaviest, in order.
fn heaviest(weighed: &mut Vec<(u32, f64)>, count: usize) {
    if count < weighed.len() {
        weighed.select_nth_unstable_by(count, heaviest_first);
        weighed.truncate(count);
    }
    weighed.sort_unstable_by(heaviest_first);
}

/// Keeps the heaviest that together reach this share of the weight, in order.
fn nucleus(weighed: &mut Vec<(u32, f64)>, share: f64) {
    let enough = weighed.iter().map(|&(_, weight)| weight).sum::<f64>() * share;
    // A few are mostly enough; to order the whole vocabulary takes long.
    let mut looked_at = 64;
    loop {
        let all = looked_at >= weighed.len();
        if !all {
            weighed.select_nth_unstable_by(looked_at, heaviest_first);
        }
        let looked = looked_at.min(weighed.len());
        weighed[..looked].sort_unstable_by(heaviest_first);
        let mut reached = 0.0;
        let last = weighed[..looked].iter().position(|&(_, weight)| {
            reached += weight;
            reached >= enough
        });
        if let Some(last) = last {
            weighed.truncate(last + 1);
            return;
        }
        if all {
            return;
        }
        looked_at *= 8;
    }
}

fn heaviest_first(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The token at this share, from 0 to 1, of all weights.
fn draw(candidates: &[(u32, f64)], share: f64) -> Option<u32> {
    let total: f64 = candidates.iter().map(|&(_, weight)| weight).sum();
    let mut left = total * share;
    for &(token, weight) in candidates {
        left -= weight;
        if left < 0.0 {
            return Some(token);
        }
    }
    candidates.last().map(|&(token, _)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(scores: &[f32], change: impl FnOnce(&mut Sampling)) -> Vec<u32> {
        let mut sampling = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            ..Sampling::default()
        };
        change(&mut sampling);
        let mut found: Vec<u32> = candidates(scores, &sampling)
            .into_iter()
            .map(|(token, _)| token)
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn cuts() {
        // Shares of about 0.64, 0.24, 0.09, 0.03.
        let scores = [1.0, 3.0, 0.0, 2.0];
        assert_eq!(tokens(&scores, |_| {}), [0, 1, 2, 3]);
        assert_eq!(tokens(&scores, |s| s.top_k = 2), [1, 3]);
        assert_eq!(tokens(&scores, |s| s.top_k = 9), [0, 1, 2, 3]);
        assert_eq!(tokens(&scores, |s| s.top_p = 0.5), [1]);
        assert_eq!(tokens(&scores, |s| s.top_p = 0.7), [1, 3]);
        assert_eq!(tokens(&scores, |s| s.top_p = 0.0), [1]);
        assert_eq!(tokens(&scores, |s| s.min_p = 0.3), [1, 3]);
        assert_eq!(tokens(&scores, |s| s.min_p = 1.0), [1]);
        assert_eq!(tokens(&[1.0, 1.0, 1.0], |s| s.top_k = 2), [0, 1]);
    }

    #[test]
    fn a_nucleus_is_the_same_however_many_are_looked_at() {
        let scores: Vec<f32> = (0..5000)
            .map(|i| ((i * 7919) % 5000) as f32 / 900.0)
            .collect();
        for top_p in [0.1, 0.5, 0.9, 0.999] {
            let mut sorted: Vec<(u32, f64)> = scores
                .iter()
                .zip(0..)
                .map(|(score, token)| (token, f64::from((score - 4999.0 / 900.0).exp())))
                .collect();
            sorted.sort_by(heaviest_first);
            let enough = sorted.iter().map(|one| one.1).sum::<f64>() * f64::from(top_p);
            let mut reached = 0.0;
            let count = 1 + sorted
                .iter()
                .position(|one| {
                    reached += one.1;
                    reached >= enough
                })
                .unwrap();
            let found = tokens(&scores, |s| s.top_p = top_p).len();
            assert!(
                found.abs_diff(count) <= 1,
                "{found} instead of {count} at {top_p}"
            );
        }
    }

    #[test]
    fn survives_scores_that_are_no_numbers() {
        let mut greedy = Sampler::new(&Sampling::greedy(), 0);
        let mut drawing = Sampler::new(&Sampling::default(), 0);
        for scores in [
            vec![f32::NAN, 1.0, f32::NAN],
            vec![f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY],
            vec![f32::NAN, f32::INFINITY, 3.0],
        ] {
            assert_eq!(greedy.choose(&mut scores.clone()), 1);
            assert_eq!(drawing.choose(&mut scores.clone()), 1);
        }
        assert_eq!(greedy.choose(&mut [f32::NAN; 3]), 0);
        assert_eq!(drawing.choose(&mut [f32::NAN; 3]), 0);
    }

    #[test]
    fn is_greedy_at_temperature_0_and_takes_the_lowest_of_equals() {
        assert_eq!(most_likely(&[0.0, 2.0, 2.0]), 1);
        assert_eq!(most_likely(&[]), 0);
    }

    #[test]
    fn punishes_repetition() {
        let mut sampler = Sampler::new(
            &Sampling {
                repetition_penalty: 2.0,
                ..Sampling::greedy()
            },
            0,
        );
        sampler.saw(0);
        assert_eq!(sampler.choose(&mut [3.0, 2.0]), 1);
        assert_eq!(sampler.choose(&mut [-1.0, -1.5]), 1);
        for _ in 0..LATELY {
            sampler.saw(1);
        }
        assert_eq!(
            sampler.choose(&mut [3.0, 2.0]),
            0,
            "what is long ago is forgotten"
        );
    }

    #[test]
    fn a_seed_repeats_itself_and_the_draw_follows_the_shares() {
        let scores = [0.0, 1.0, 2.0];
        let run = |seed: u64| {
            let sampling = Sampling {
                temperature: 1.0,
                top_p: 1.0,
                seed: Some(seed),
                ..Sampling::default()
            };
            let mut sampler = Sampler::new(&sampling, 1);
            (0..3000)
                .map(|_| sampler.choose(&mut scores.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        let often = run(5).iter().filter(|&&token| token == 2).count();
        assert!(
            (1880..2110).contains(&often),
            "{often} of 3000, about 1995 expected"
        );
    }
}
