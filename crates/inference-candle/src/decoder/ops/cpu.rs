//! The same arithmetic on the CPU, one pass each.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Error, InplaceOp1, Layout, Result, Shape};
use rayon::prelude::*;

use super::Sight;
use crate::decoder::architecture::Activation;

/// Below this many floats a second thread costs more than it helps.
const PARALLEL_MIN: usize = 1 << 14;
/// Work without rows is cut into pieces of this many floats.
const PIECE: usize = 1 << 12;

/// See [`rms_norm`](super::rms_norm).
pub(super) struct RmsNorm {
    pub(super) eps: f32,
}

/// See [`rotate`](super::rotate).
pub(super) struct Rotate;

/// See [`attention_shares`](super::attention_shares).
pub(super) struct Shares {
    pub(super) sight: Sight,
}

/// See [`gated`](super::gated).
pub(super) struct Gated {
    pub(super) activation: Activation,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        rows: &CpuStorage,
        layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, weights) = (floats(rows, layout)?, floats(weights, weights_layout)?);
        let mut out = vec![0.0; rows.len()];
        each_row(&mut out, weights.len(), |index, out| {
            let row = &rows[index * weights.len()..][..weights.len()];
            let scale = (sum_of_squares(row) / row.len() as f32 + self.eps)
                .sqrt()
                .recip();
            for ((out, value), weight) in out.iter_mut().zip(row).zip(weights) {
                *out = value * scale * weight;
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

impl CustomOp3 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(
        &self,
        heads: &CpuStorage,
        layout: &Layout,
        cos: &CpuStorage,
        angles_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, count, width) = layout.shape().dims3()?;
        let (_, pairs) = angles_layout.shape().dims2()?;
        let (cos, sin) = (floats(cos, angles_layout)?, floats(sin, sin_layout)?);
        let mut out = floats(heads, layout)?.to_vec();
        each_row(&mut out, width * count, |index, row| {
            let (cos, sin) = (
                &cos[index * pairs..][..pairs],
                &sin[index * pairs..][..pairs],
            );
            for head in row.chunks_exact_mut(width) {
                let (left, right) = head.split_at_mut(pairs);
                for (((left, right), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
                    let (a, b) = (*left, *right);
                    *left = a * cos - b * sin;
                    *right = b * cos + a * sin;
                }
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

impl InplaceOp1 for Shares {
    fn name(&self) -> &'static str {
        "attention-shares"
    }

    fn cpu_fwd(&self, scores: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let seen = layout.shape().dims3()?.2;
        let (CpuStorage::F32(scores), Some((start, end))) = (scores, layout.contiguous_offsets())
        else {
            return Err(Error::RequiresContiguous {
                op: "attention-shares",
            });
        };
        each_row(&mut scores[start..end], seen, |index, row| {
            let visible = self.sight.visible(index % self.sight.rows);
            row[..visible.start].fill(0.0);
            row[visible.end..].fill(0.0);
            softmax(&mut row[visible], self.sight.scale);
        });
        Ok(())
    }
}

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (floats(gate, layout)?, floats(up, up_layout)?);
        let mut out = vec![0.0; gate.len()];
        each_row(&mut out, PIECE, |index, out| {
            let gate = &gate[index * PIECE..][..out.len()];
            let up = &up[index * PIECE..][..out.len()];
            match self.activation {
                Activation::Silu => fill(out, gate, up, silu),
                Activation::Gelu => fill(out, gate, up, gelu),
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => Err(Error::RequiresContiguous { op: "floats" }),
    }
}

/// Works on pieces of this width, the last of which may be shorter; in parallel if it pays.
fn each_row(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if out.len() < PARALLEL_MIN || out.len() <= width {
        out.chunks_mut(width)
            .enumerate()
            .for_each(|(index, row)| work(index, row));
    } else {
        out.par_chunks_mut(width)
            .enumerate()
            .for_each(|(index, row)| work(index, row));
    }
}

fn fill(out: &mut [f32], gate: &[f32], up: &[f32], activation: impl Fn(f32) -> f32) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = activation(*gate) * up;
    }
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

fn gelu(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    0.5 * x * (1.0 + (ROOT * x * (1.0 + 0.044_715 * x * x)).tanh())
}

fn softmax(row: &mut [f32], scale: f32) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = ((*value - most) * scale).exp();
        sum += *value;
    }
    let share = sum.recip();
    for value in row {
        *value *= share;
    }
}

/// In eight sums at a time, so that it is fast and loses little to rounding.
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let mut pieces = row.chunks_exact(8);
    for piece in &mut pieces {
        for (sum, value) in sums.iter_mut().zip(piece) {
            *sum += value * value;
        }
    }
    let rest: f32 = pieces.remainder().iter().map(|value| value * value).sum();
    sums.iter().sum::<f32>() + rest
}
