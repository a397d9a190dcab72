//! The small arithmetic between the matrices.
//!
//! Each operation is one pass over the floats on the CPU and is composed of candle's own
//! operations on other devices.

mod cpu;

use candle_core::{D, DType, Result, Tensor};

use super::architecture::Activation;

/// What the rows of attention's scores may look at.
///
/// Scores are `[heads, group × rows, seen]`; the queries of a head's group lie one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Queries of one sequence.
    pub(super) rows: usize,
    /// The place of the first query among what is seen.
    pub(super) first: usize,
    /// How many places each query sees at most, its own included.
    pub(super) window: usize,
    /// Factor on the scores.
    pub(super) scale: f32,
}

/// Divides each row by its root mean square and multiplies by the weights.
pub(super) fn rms_norm(rows: &Tensor, weights: &Tensor, eps: f32) -> Result<Tensor> {
    if rows.device().is_cpu() {
        return rows
            .contiguous()?
            .apply_op2_no_bwd(weights, &cpu::RmsNorm { eps });
    }
    let mean = rows.sqr()?.mean_keepdim(D::Minus1)?;
    rows.broadcast_div(&(mean + f64::from(eps))?.sqrt()?)?
        .broadcast_mul(weights)
}

/// Turns the heads `[rows, heads, width]` by each row's angles `[rows, pairs]`.
///
/// The first value of a pair is in the first half of what turns, the second in the second half.
pub(super) fn rotate(heads: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if heads.device().is_cpu() {
        return heads.contiguous()?.apply_op3_no_bwd(cos, sin, &cpu::Rotate);
    }
    let (pairs, width) = (cos.dim(1)?, heads.dim(2)?);
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
    let left = heads.narrow(2, 0, pairs)?;
    let right = heads.narrow(2, pairs, pairs)?;
    let mut turned = vec![
        (left.broadcast_mul(&cos)? - right.broadcast_mul(&sin)?)?,
        (right.broadcast_mul(&cos)? + left.broadcast_mul(&sin)?)?,
    ];
    if 2 * pairs < width {
        turned.push(heads.narrow(2, 2 * pairs, width - 2 * pairs)?);
    }
    Tensor::cat(&turned, 2)
}

/// Turns scores into shares of attention; what may not be seen gets 0.
pub(super) fn attention_shares(scores: Tensor, sight: Sight) -> Result<Tensor> {
    if scores.device().is_cpu() {
        scores.inplace_op1(&cpu::Shares { sight })?;
        return Ok(scores);
    }
    let (heads, stacked, seen) = scores.dims3()?;
    let group = stacked / sight.rows;
    let mask: Vec<f32> = (0..sight.rows)
        .flat_map(|row| {
            let visible = sight.visible(row);
            (0..seen).map(move |i| {
                if visible.contains(&i) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (1, sight.rows, seen), scores.device())?;
    let scores = scores.reshape((heads * group, sight.rows, seen))?;
    let scores = (scores * f64::from(sight.scale))?.broadcast_add(&mask)?;
    let powers = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
        .exp()?;
    let shares = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
    shares.reshape((heads, stacked, seen))
}

/// Gates one half of the feed-forward part by the other.
pub(super) fn gated(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if gate.device().is_cpu() {
        return gate
            .contiguous()?
            .apply_op2_no_bwd(&up.contiguous()?, &cpu::Gated { activation });
    }
    let gate = match activation {
        Activation::Silu => gate.silu()?,
        Activation::Gelu => gate.gelu()?,
    };
    gate * up
}

/// The cosines and sines of the positions, `[positions, pairs]` each.
pub(super) fn angles(
    positions: &[usize],
    frequencies: &[f64],
    magnitude: f64,
    device: &candle_core::Device,
) -> Result<(Tensor, Tensor)> {
    let shape = (positions.len(), frequencies.len());
    let all = || {
        positions
            .iter()
            .flat_map(|&p| frequencies.iter().map(move |f| p as f64 * f))
    };
    let table = |of: fn(f64) -> f64| {
        let values: Vec<f32> = all().map(|angle| (of(angle) * magnitude) as f32).collect();
        Tensor::from_vec(values, shape, device)?.to_dtype(DType::F32)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

// === impl Sight ===

impl Sight {
    /// The places that this query sees.
    pub(super) fn visible(&self, row: usize) -> std::ops::Range<usize> {
        let end = self.first + row + 1;
        end.saturating_sub(self.window)..end
    }
}
