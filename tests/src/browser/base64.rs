//! Base64, for pictures only.

/// Decodes standard base64; what is not of its alphabet is skipped.
pub(super) fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = text
        .bytes()
        .filter_map(|b| ALPHABET.iter().position(|a| *a == b));
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for sextet in sextets {
        bits = (bits << 6 | sextet as u32) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xFF) as u8);
        }
    }
    bytes
}
