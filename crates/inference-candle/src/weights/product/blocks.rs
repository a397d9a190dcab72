//! The block formats of GGUF, from bytes to floats.
//!
//! A block is 32 values: a half-precision scale, for some an offset, for five bits the highest
//! ones, then the rest.
//! Four-bit values lie in the low halves of 16 bytes first, then in the high halves.

#![expect(
    clippy::inline_always,
    reason = "what is inlined is compiled for the processor of its caller"
)]

use std::hint::black_box;

/// The formats that are known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Q4x0,
    Q4x1,
    Q5x0,
    Q5x1,
    Q8x0,
}

/// Makes floats of whole blocks.
#[inline(always)]
pub(super) fn unpack(format: Format, packed: &[u8], out: &mut [f32]) {
    match format {
        Format::Q4x0 => q4_0(packed, out),
        Format::Q4x1 => q4_1(packed, out),
        Format::Q5x0 => q5_0(packed, out),
        Format::Q5x1 => q5_1(packed, out),
        Format::Q8x0 => q8_0(packed, out),
    }
}

const VALUES: usize = 32;

#[inline(always)]
fn q4_0(packed: &[u8], out: &mut [f32]) {
    for (block, out) in packed.chunks_exact(18).zip(out.chunks_exact_mut(VALUES)) {
        let scale = half(block[0], block[1]);
        fill(out, halves(&block[2..18]), scale, -8.0 * scale);
    }
}

#[inline(always)]
fn q4_1(packed: &[u8], out: &mut [f32]) {
    for (block, out) in packed.chunks_exact(20).zip(out.chunks_exact_mut(VALUES)) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        fill(out, halves(&block[4..20]), scale, least);
    }
}

#[inline(always)]
fn q5_0(packed: &[u8], out: &mut [f32]) {
    for (block, out) in packed.chunks_exact(22).zip(out.chunks_exact_mut(VALUES)) {
        let scale = half(block[0], block[1]);
        let highest = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
        fill(
            out,
            with_fifth(halves(&block[6..22]), highest),
            scale,
            -16.0 * scale,
        );
    }
}

#[inline(always)]
fn q5_1(packed: &[u8], out: &mut [f32]) {
    for (block, out) in packed.chunks_exact(24).zip(out.chunks_exact_mut(VALUES)) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        let highest = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
        fill(
            out,
            with_fifth(halves(&block[8..24]), highest),
            scale,
            least,
        );
    }
}

#[inline(always)]
fn q8_0(packed: &[u8], out: &mut [f32]) {
    for (block, out) in packed.chunks_exact(34).zip(out.chunks_exact_mut(VALUES)) {
        let scale = half(block[0], block[1]);
        for (&byte, out) in block[2..34].iter().zip(out) {
            *out = f32::from(byte as i8) * scale;
        }
    }
}

/// The low halves of the bytes, then the high ones.
#[inline(always)]
fn halves(bytes: &[u8]) -> [u8; VALUES] {
    // Hidden, so that the compiler makes vectors of one block's values and does not gather the
    // same value of several blocks, which is several times slower.
    let bytes: [u8; 16] = *black_box(bytes.first_chunk().expect("a block has them"));
    let mut values = [0; VALUES];
    for i in 0..16 {
        values[i] = bytes[i] & 15;
        values[i + 16] = bytes[i] >> 4;
    }
    values
}

#[inline(always)]
fn with_fifth(mut values: [u8; VALUES], highest: u32) -> [u8; VALUES] {
    for (i, value) in values.iter_mut().enumerate() {
        *value |= ((highest >> i) << 4) as u8 & 16;
    }
    values
}

#[inline(always)]
fn fill(out: &mut [f32], values: [u8; VALUES], scale: f32, least: f32) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = f32::from(value) * scale + least;
    }
}

/// A half-precision number, without a table and without branches that are taken often.
#[inline(always)]
fn half(low: u8, high: u8) -> f32 {
    let bits = u32::from(u16::from_le_bytes([low, high]));
    let sign = (bits & 0x8000) << 16;
    // Moved into the place of a float's bits, the exponent is 112 too small; that is a factor.
    let value = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(value.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn reads_half_precision() {
        for (bits, wanted) in [
            (0x3c00u16, 1.0f32),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0, 0.0),
            (0x7bff, 65504.0),
        ] {
            let [low, high] = bits.to_le_bytes();
            assert!(
                (half(low, high) - wanted).abs() <= f32::EPSILON * wanted.abs(),
                "{bits:x}"
            );
        }
    }
}
