//! Products of activations with quantized weights on the CPU, in 32-bit floats.
//!
//! candle rounds the activations to 8 bits, which visibly changes what small models write, and has
//! no vector code for some of these types.
//! Here a few rows of weights at a time become floats in a scratch buffer and are multiplied with
//! all rows of activations, so the weights are read once for the whole batch.
//!
//! Invariant: a row of the result depends on its own row of activations only, and not on how many
//! others there are beyond the order of sums.

mod blocks;
mod simd;

use std::cell::RefCell;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape};
use rayon::prelude::*;

use self::blocks::Format;

/// Rows of weights that become floats together.
const TILE: usize = 16;

/// Multiplies with these weights.
pub(super) struct Product<'a> {
    weights: &'a QTensor,
    format: Format,
}

// === impl Product ===

impl<'a> Product<'a> {
    /// The product with these weights, if their type is known here.
    pub(super) fn with(weights: &'a QTensor) -> Option<Self> {
        let format = match weights.dtype() {
            GgmlDType::Q4_0 => Format::Q4x0,
            GgmlDType::Q4_1 => Format::Q4x1,
            GgmlDType::Q5_0 => Format::Q5x0,
            GgmlDType::Q5_1 => Format::Q5x1,
            GgmlDType::Q8_0 => Format::Q8x0,
            _ => return None,
        };
        Some(Self { weights, format })
    }
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, rows: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, columns) = layout.shape().dims2()?;
        let (outputs, width) = self.weights.shape().dims2()?;
        let (CpuStorage::F32(rows), Some((start, end))) = (rows, layout.contiguous_offsets())
        else {
            return Err(Error::RequiresContiguous { op: "product" });
        };
        if columns != width {
            candle_core::bail!("rows of {columns} values for weights of {width}");
        }
        let rows = &rows[start..end];
        let packed = self.weights.data()?;
        let stride = packed.len() / outputs;

        // Output by output, so that each task has its own piece.
        let mut turned = vec![0.0; count * outputs];
        turned
            .par_chunks_mut(TILE * count)
            .with_min_len(2)
            .enumerate()
            .for_each(|(tile, out)| {
                let first = tile * TILE;
                let packed = &packed[first * stride..][..out.len() / count * stride];
                with_scratch(TILE * width, |scratch| {
                    simd::tile(packed, self.format, rows, scratch, out, width);
                });
            });
        let out = if count == 1 {
            turned
        } else {
            turn(&turned, outputs, count)
        };
        Ok((CpuStorage::F32(out), Shape::from((count, outputs))))
    }
}

/// Lends the thread's buffer, with whatever is in it.
fn with_scratch(len: usize, work: impl FnOnce(&mut [f32])) {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        work(&mut scratch[..len]);
    });
}

/// Turns `[outputs, count]` to `[count, outputs]`.
fn turn(values: &[f32], outputs: usize, count: usize) -> Vec<f32> {
    let mut turned = vec![0.0; values.len()];
    turned
        .par_chunks_mut(outputs)
        .enumerate()
        .for_each(|(row, out)| {
            for (out, values) in out.iter_mut().zip(values.chunks_exact(count)) {
                *out = values[row];
            }
        });
    turned
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::Product;

    #[test]
    fn is_the_product_with_the_expanded_weights() {
        for dtype in [
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
        ] {
            for (count, outputs, width) in [(1, 37, 64), (2, 16, 96), (5, 33, 32), (9, 50, 576)] {
                let weights = Tensor::randn(0f32, 1.0, (outputs, width), &Device::Cpu).unwrap();
                let weights = QTensor::quantize(&weights, dtype).unwrap();
                let rows = Tensor::randn(0f32, 1.0, (count, width), &Device::Cpu).unwrap();
                let expanded = weights.dequantize(&Device::Cpu).unwrap();
                let wanted = rows.matmul(&expanded.t().unwrap()).unwrap();
                let found = rows
                    .apply_op1_no_bwd(&Product::with(&weights).unwrap())
                    .unwrap();
                let off = (wanted - found).unwrap().abs().unwrap().max_all().unwrap();
                let off = off.to_scalar::<f32>().unwrap();
                assert!(off < 1e-3, "{dtype:?} {count}x{outputs}x{width}: {off}");
            }
        }
    }
}
