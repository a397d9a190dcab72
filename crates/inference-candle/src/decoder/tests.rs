//! The decoder against outputs that others computed, and against itself.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::Device;

use super::{Decoder, Input, Past};
use crate::testing::{self, TinyFamily};

fn parity(family: &str) -> (Decoder, HashMap<String, candle_core::Tensor>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/parity")
        .join(family);
    let decoder = Decoder::open_folder(&folder, &Device::Cpu).expect("the fixture loads");
    let reference = candle_core::safetensors::load(folder.join("ref.safetensors"), &Device::Cpu)
        .expect("the reference loads");
    (decoder, reference)
}

fn ids(tensor: &candle_core::Tensor) -> Vec<Vec<u32>> {
    let tensor = if tensor.rank() == 1 {
        tensor.unsqueeze(0).unwrap()
    } else {
        tensor.clone()
    };
    tensor
        .to_dtype(candle_core::DType::U32)
        .unwrap()
        .to_vec2()
        .unwrap()
}

fn close(found: &[Vec<f32>], wanted: &[Vec<f32>], within: f32) {
    assert_eq!(found.len(), wanted.len());
    for (row, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert_eq!(found.len(), wanted.len());
        for (token, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert!(
                (found - wanted).abs() <= within,
                "row {row}, token {token}: {found} instead of {wanted}"
            );
        }
    }
}

/// All scores of these tokens behind this past.
fn all(decoder: &Decoder, past: &mut Past, tokens: &[u32]) -> Vec<Vec<f32>> {
    decoder
        .step(&mut [Input {
            past,
            tokens,
            logits: tokens.len(),
        }])
        .unwrap()
        .remove(0)
}

fn whole(decoder: &Decoder, tokens: &[u32]) -> Vec<Vec<f32>> {
    all(decoder, &mut decoder.empty(), tokens)
}

/// Whatever way the tokens come, the scores are those of all at once.
fn check_ways(decoder: &Decoder, rows: &[Vec<u32>], within: f32) {
    let wanted: Vec<_> = rows.iter().map(|row| whole(decoder, row)).collect();
    for chunk in [1, 2, 3, 7] {
        for (row, wanted) in rows.iter().zip(&wanted) {
            let mut past = decoder.empty();
            let found: Vec<_> = row
                .chunks(chunk)
                .flat_map(|part| all(decoder, &mut past, part))
                .collect();
            close(&found, wanted, within);
        }
    }
    // Different sequences in one step, each at its own place.
    let mut pasts: Vec<Past> = rows.iter().map(|_| decoder.empty()).collect();
    let splits: Vec<usize> = (0..rows.len()).map(|i| i * 2 % rows[i].len()).collect();
    for ((past, row), split) in pasts.iter_mut().zip(rows).zip(&splits) {
        if *split > 0 {
            all(decoder, past, &row[..*split]);
        }
    }
    let mut inputs: Vec<Input<'_>> = pasts
        .iter_mut()
        .zip(rows)
        .zip(&splits)
        .map(|((past, row), split)| Input {
            past,
            tokens: &row[*split..],
            logits: row.len(),
        })
        .collect();
    let found = decoder.step(&mut inputs).unwrap();
    for ((found, wanted), split) in found.iter().zip(&wanted).zip(&splits) {
        close(found, &wanted[*split..], within);
    }
    // A fork and a truncated past go on as if they had come that way.
    let (row, wanted) = (&rows[0], &wanted[0]);
    let mut past = decoder.empty();
    all(decoder, &mut past, row);
    let mut fork = past.fork(3).unwrap();
    close(&all(decoder, &mut fork, &row[3..]), &wanted[3..], within);
    past.truncate(2);
    close(&all(decoder, &mut past, &row[2..]), &wanted[2..], within);
}

#[test]
fn computes_what_the_reference_computed() {
    for family in ["llama", "qwen2"] {
        let (decoder, reference) = parity(family);
        let prompts = ids(&reference["input_ids"]);
        let logits: Vec<Vec<Vec<f32>>> = reference["logits"].to_vec3().unwrap();
        for (prompt, wanted) in prompts.iter().zip(&logits) {
            close(&whole(&decoder, prompt), wanted, 1e-4);
        }
        check_ways(&decoder, &prompts, 1e-4);

        let greedy = ids(&reference["greedy"]).remove(0);
        let mut past = decoder.empty();
        let mut tokens = prompts[0].clone();
        let mut rows = all(&decoder, &mut past, &tokens);
        while tokens.len() < greedy.len() {
            let next = crate::sampler::most_likely(rows.last().unwrap());
            tokens.push(next);
            rows = all(&decoder, &mut past, &[next]);
        }
        assert_eq!(tokens, greedy, "{family}");
    }
}

#[test]
fn every_family_computes_the_same_in_every_way() {
    let folder = tempfile::tempdir().expect("a folder");
    for family in TinyFamily::ALL {
        let path = folder.path().join(format!("{family:?}.gguf"));
        testing::write_gguf(&path, family);
        let decoder = Decoder::open_gguf(&path, None, &Device::Cpu)
            .unwrap_or_else(|error| panic!("{family:?}: {error}"));
        let rows: Vec<Vec<u32>> = (0..3u32)
            .map(|row| {
                (0..21 - row * 4)
                    .map(|i| (i * 7 + row * 13 + i * i) % 90)
                    .collect()
            })
            .collect();
        check_ways(&decoder, &rows, 2e-4);
    }
}

/// Queries and keys as GGUF of the llama family stores them give the reference's scores.
#[test]
fn unweaves_the_llama_family() {
    let (decoder, reference) = parity("llama");
    let prompt = ids(&reference["input_ids"]).remove(0);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("woven.gguf");
    let source =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parity/llama/model.safetensors");
    testing::write_woven_llama(&path, &source, decoder.architecture());
    let woven = Decoder::open_gguf(&path, None, &Device::Cpu).expect("it loads");
    close(&whole(&woven, &prompt), &whole(&decoder, &prompt), 1e-5);
}

#[test]
fn refuses_a_token_beyond_the_vocabulary_and_stays_where_it_was() {
    let (decoder, _) = parity("llama");
    let mut past = decoder.empty();
    all(&decoder, &mut past, &[1, 2, 3]);
    let mut input = [Input {
        past: &mut past,
        tokens: &[97],
        logits: 1,
    }];
    assert!(decoder.step(&mut input).is_err());
    assert_eq!(past.tokens(), 3);
}
