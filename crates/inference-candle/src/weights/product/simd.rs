//! The inner loops, compiled once for any processor and once for AVX2 with fused multiply-add.
//!
//! The loops are plain Rust that the compiler turns into vector code; the only thing unsafe is to
//! call what was compiled for more than the oldest processor, after asking whether this one can.

#![expect(
    clippy::inline_always,
    reason = "what is inlined is compiled for the processor of its caller"
)]

use std::hint::black_box;

use super::blocks::{self, Format};

/// Values that are summed side by side.
const LANES: usize = 8;

/// Multiplies a tile of packed weights with all rows, `out` being output by output.
pub(super) fn tile(
    packed: &[u8],
    format: Format,
    rows: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
    width: usize,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        #[expect(unsafe_code, reason = "the processor was asked for both features")]
        unsafe {
            return tile_avx2(packed, format, rows, scratch, out, width);
        }
    }
    tile_with::<false>(packed, format, rows, scratch, out, width);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn tile_avx2(
    packed: &[u8],
    format: Format,
    rows: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
    width: usize,
) {
    tile_with::<true>(packed, format, rows, scratch, out, width);
}

#[inline(always)]
fn tile_with<const FUSED: bool>(
    packed: &[u8],
    format: Format,
    rows: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
    width: usize,
) {
    let count = rows.len() / width;
    let outputs = out.len() / count;
    let weights = &mut scratch[..outputs * width];
    blocks::unpack(format, packed, weights);
    for (weights, out) in weights.chunks(2 * width).zip(out.chunks_mut(2 * count)) {
        if let Some((first, second)) = weights
            .split_at_checked(width)
            .filter(|two| two.1.len() == width)
        {
            let (out_first, out_second) = out.split_at_mut(count);
            let mut row = 0;
            while row + 4 <= count {
                let four = &rows[row * width..(row + 4) * width];
                let sums = two_by_four::<FUSED>(first, second, four, width);
                out_first[row..row + 4].copy_from_slice(&sums[0]);
                out_second[row..row + 4].copy_from_slice(&sums[1]);
                row += 4;
            }
            while row < count {
                let one = &rows[row * width..(row + 1) * width];
                out_first[row] = dot::<FUSED>(first, one);
                out_second[row] = dot::<FUSED>(second, one);
                row += 1;
            }
        } else {
            for (out, row) in out.iter_mut().zip(rows.chunks_exact(width)) {
                *out = dot::<FUSED>(weights, row);
            }
        }
    }
}

#[inline(always)]
fn two_by_four<const FUSED: bool>(
    first: &[f32],
    second: &[f32],
    four: &[f32],
    width: usize,
) -> [[f32; 4]; 2] {
    let (a, b) = (first.as_chunks::<LANES>().0, second.as_chunks::<LANES>().0);
    let row = |i: usize| four[i * width..(i + 1) * width].as_chunks::<LANES>().0;
    let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
    let mut sums = [[[0.0f32; LANES]; 4]; 2];
    let chunks = a.iter().zip(b).zip(r0).zip(r1).zip(r2).zip(r3);
    for (((((a, b), r0), r1), r2), r3) in chunks {
        for (i, row) in [r0, r1, r2, r3].into_iter().enumerate() {
            add::<FUSED>(&mut sums[0][i], a, row);
            add::<FUSED>(&mut sums[1][i], b, row);
        }
    }
    sums.map(|output| output.map(|lanes| total(&lanes)))
}

#[inline(always)]
fn dot<const FUSED: bool>(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [[0.0f32; LANES]; 4];
    for (left, right) in left
        .as_chunks::<32>()
        .0
        .iter()
        .zip(right.as_chunks::<32>().0)
    {
        let (left, right) = (left.as_chunks::<LANES>().0, right.as_chunks::<LANES>().0);
        for ((sums, left), right) in sums.iter_mut().zip(left).zip(right) {
            add::<FUSED>(sums, left, right);
        }
    }
    total(&sums[0]) + total(&sums[1]) + (total(&sums[2]) + total(&sums[3]))
}

#[inline(always)]
fn total(lanes: &[f32; LANES]) -> f32 {
    // Hidden, so that the order of this sum does not decide how the loop before keeps its lanes.
    let lanes = black_box(*lanes);
    let (low, high) = lanes.split_at(LANES / 2);
    low.iter().zip(high).map(|(low, high)| low + high).sum()
}

#[inline(always)]
fn add<const FUSED: bool>(sums: &mut [f32; LANES], left: &[f32; LANES], right: &[f32; LANES]) {
    for lane in 0..LANES {
        sums[lane] = if FUSED {
            left[lane].mul_add(right[lane], sums[lane])
        } else {
            left[lane] * right[lane] + sums[lane]
        };
    }
}
