//! Guesses how many tokens a text has, where the model's own tokenizer is not at hand.
//!
//! The guess is meant to be a little high, so that what fits by it fits indeed: English has about
//! four characters to a token, other alphabets about two, Chinese, Japanese and Korean about one.

use tertulia_inference::Prompt;

/// Tokens that a message takes besides its text: its role and its ends.
const PER_MESSAGE: usize = 4;

/// Tokens of a prompt.
pub(crate) fn prompt(prompt: &Prompt) -> usize {
    let system = if prompt.system.is_empty() {
        0
    } else {
        PER_MESSAGE + text(&prompt.system)
    };
    let messages = prompt
        .messages
        .iter()
        .map(|message| PER_MESSAGE + text(&message.text));
    system + messages.sum::<usize>()
}

/// Tokens of a text.
pub(crate) fn text(text: &str) -> usize {
    let quarters = |c: char| match c {
        '\0'..='\x7f' => 1,
        // From here on the scripts without an alphabet, and emoji.
        '\u{2e80}'.. => 4,
        _ => 2,
    };
    text.chars().map(quarters).sum::<usize>().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_by_script() {
        let cases = [
            ("", 0),
            ("a", 1),
            ("four", 1),
            ("tokens", 2),
            ("да", 1),
            ("你好", 2),
            ("🎉", 1),
        ];
        for (given, tokens) in cases {
            assert_eq!(text(given), tokens, "{given}");
        }
    }
}
