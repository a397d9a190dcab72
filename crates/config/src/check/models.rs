//! Models: sources, addresses, sizes, prices.

use super::Check;
use crate::config::Config;
use crate::section::model::{CandleModel, Model, OpenAiModel};
use crate::tree::Path;

/// No context is larger than this many tokens.
const LARGEST_CONTEXT: usize = 10_000_000;

pub(super) fn check(config: &Config, check: &mut Check<'_>) {
    for (name, model) in &config.models {
        let path = Path::keys(["models", name]);
        check.count(&path.key("context"), model.context(), 64, LARGEST_CONTEXT);
        match model {
            Model::Candle(model) => candle(model, &path, check),
            Model::OpenAi(model) => openai(model, &path, check),
        }
    }
}

fn candle(model: &CandleModel, path: &Path, check: &mut Check<'_>) {
    if model.source.trim().is_empty() {
        check.report(&path.key("source"), "it is empty");
    }
    check.count(&path.key("slots"), model.slots, 1, 1024);
}

fn openai(model: &OpenAiModel, path: &Path, check: &mut Check<'_>) {
    check.address(&path.key("base_url"), &model.base_url, &["https", "http"]);
    if model.model.trim().is_empty() {
        check.report(&path.key("model"), "it is empty");
    }
    if let Some(key) = &model.api_key {
        check.secret(&path.key("api_key"), key);
    }
    check.count(&path.key("retries"), model.retries as usize, 0, 10);
    if let Some(price) = &model.price {
        let path = path.key("price");
        check.within(&path.key("input"), price.input, 0.0, 1e6);
        check.within(&path.key("output"), price.output, 0.0, 1e6);
    }
}
