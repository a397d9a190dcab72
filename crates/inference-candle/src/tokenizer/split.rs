//! How text is cut into words before bytes are merged; each family of models has its own way.
//!
//! The expressions are those of the models' own tokenizer descriptions.
//!
//! Invariant: the words, joined, are the text.

use fancy_regex::Regex;

use crate::ModelFileError;

/// GPT-2: English contractions, then letters, digits or the rest, with one space before.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_LLM: [&str; 6] = [
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1f7d}ᾀ-ᾴᾶ-ᾼ\x{1fbe}ῂ-ῄῆ-ῌῐ-\x{1fd3}ῖ-\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    r"[一-龥ࠀ-一가-퟿]+",
    r"\p{N}+",
];
const DEEPSEEK_CODER: [&str; 5] = [
    r"[\r\n]",
    r"\s?\p{L}+",
    r"\s?\p{P}+",
    r"[一-龥ࠀ-一가-퟿]+",
    r"\p{N}",
];
const DEEPSEEK3: [&str; 3] = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];
const FALCON: [&str; 3] = [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"];
/// Each digit by itself.
const SMOLLM: [&str; 2] = [r"\p{N}", GPT2];
/// Files from before the name of the expression was written into them.
const UNNAMED: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"];

/// The ways that are known, by `tokenizer.ggml.pre`, with two habits that come with some:
/// whether a prompt begins with the beginning-of-sequence token unless the file says otherwise,
/// and whether a word that is a token is taken whole, whatever the merges say.
const KNOWN: [(&[&str], &[&str], Habits); 14] = [
    (&["default"], &UNNAMED, PLAIN),
    (
        &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        &[LLAMA3],
        Habits {
            adds_bos: true,
            whole_words: true,
        },
    ),
    (
        &["smaug-bpe", "dbrx", "chatglm-bpe", "glm4"],
        &[LLAMA3],
        PLAIN,
    ),
    (
        &[
            "qwen2",
            "stablelm2",
            "deepseek-r1-qwen",
            "megrez",
            "hunyuan",
            "kormo",
            "grok-2",
        ],
        &[QWEN2],
        PLAIN,
    ),
    (&["qwen35"], &[QWEN35], PLAIN),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        &SMOLLM,
        PLAIN,
    ),
    (
        &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "exaone4",
            "trillion",
            "granite-docling",
            "mellum",
            "modern-bert",
            "jina-es",
            "jina-de",
            "gigachat",
            "a.x-4.0",
        ],
        &[GPT2],
        PLAIN,
    ),
    (&["falcon"], &FALCON, PLAIN),
    (&["deepseek-llm"], &DEEPSEEK_LLM, PLAIN),
    (&["deepseek-coder"], &DEEPSEEK_CODER, PLAIN),
    (
        &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        &DEEPSEEK3,
        PLAIN,
    ),
    (
        &["tekken"],
        &[TEKKEN],
        Habits {
            adds_bos: true,
            whole_words: true,
        },
    ),
    (&["gpt-4o", "llama4", "kanana2"], &[GPT4O], PLAIN),
    (
        &["viking"],
        &[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
        PLAIN,
    ),
];

#[derive(Clone, Copy)]
struct Habits {
    adds_bos: bool,
    whole_words: bool,
}

const PLAIN: Habits = Habits {
    adds_bos: false,
    whole_words: false,
};

/// Cuts text into words.
#[derive(Debug)]
pub(super) struct Split {
    /// Each cuts the pieces that the one before has left.
    steps: Vec<Regex>,
    pub(super) adds_bos: bool,
    pub(super) whole_words: bool,
}

// === impl Split ===

impl Split {
    pub(super) fn by_name(name: &str) -> Result<Self, ModelFileError> {
        let Some((_, steps, habits)) = KNOWN.iter().find(|(names, ..)| names.contains(&name))
        else {
            return Err(ModelFileError::unsupported(format!(
                "the way `{name}` of splitting words (tokenizer.ggml.pre)"
            )));
        };
        let steps = steps
            .iter()
            .map(|step| Regex::new(step).expect("the expressions above are well-formed"))
            .collect();
        Ok(Self {
            steps,
            adds_bos: habits.adds_bos,
            whole_words: habits.whole_words,
        })
    }

    pub(super) fn words<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut words = vec![text];
        for step in &self.steps {
            let mut finer = Vec::with_capacity(words.len() * 2);
            for word in words {
                cut(step, word, &mut finer);
            }
            words = finer;
        }
        words
    }
}

/// Appends the matches and what lies between them.
fn cut<'a>(step: &Regex, text: &'a str, out: &mut Vec<&'a str>) {
    let mut from = 0;
    // An expression that gives up on monstrous text leaves the rest of it uncut, which costs
    // quality there and nothing else.
    for found in step.find_iter(text).map_while(Result::ok) {
        if found.start() > from {
            out.push(&text[from..found.start()]);
        }
        if found.end() > found.start() {
            out.push(found.as_str());
        }
        from = found.end();
    }
    if from < text.len() {
        out.push(&text[from..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_cuts_as_its_models_do() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("gpt-2", "I'm 2024  ok", &["I", "'m", " 2024", " ", " ok"]),
            ("smollm", "in 2024", &["in", " ", "2", "0", "2", "4"]),
            (
                "qwen2",
                "IT'S 42!\n\nok",
                &["IT", "'S", " ", "4", "2", "!\n\n", "ok"],
            ),
            ("llama-bpe", "12345 a.b", &["123", "45", " a", ".b"]),
            ("tekken", "HelloWorld 1", &["Hello", "World", " ", "1"]),
            ("gpt-4o", "it's", &["it's"]),
            ("falcon", "a1234", &["a", "123", "4"]),
            (
                "deepseek-v3",
                "x 1234 你好a",
                &["x", " ", "123", "4", " ", "你好", "a"],
            ),
            (
                "deepseek-llm",
                "hi, 你好\n",
                &["hi", ",", " ", "你好", "\n"],
            ),
            ("deepseek-coder", "hi 12", &["hi", " ", "1", "2"]),
            ("default", "a+b", &["a", "+", "b"]),
        ];
        for (name, text, words) in cases {
            assert_eq!(
                Split::by_name(name).unwrap().words(text),
                *words,
                "{name}: {text:?}"
            );
        }
    }

    #[test]
    fn an_unknown_way_is_refused_by_name() {
        assert!(
            Split::by_name("mystery")
                .unwrap_err()
                .to_string()
                .contains("mystery")
        );
    }

    #[test]
    fn a_flood_of_white_space_is_no_trouble() {
        let flood = format!("{}x", " ".repeat(20_000));
        for (names, ..) in &KNOWN {
            assert_eq!(
                Split::by_name(names[0]).unwrap().words(&flood).concat(),
                flood
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "\\PC{0,40}[ \n\t]{0,5}[a-z0-9']{0,9}") {
            for (names, ..) in &KNOWN {
                prop_assert_eq!(&Split::by_name(names[0]).unwrap().words(&text).concat(), &text);
            }
        }
    }
}
