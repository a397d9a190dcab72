//! Personas: their models and how they choose words.

use std::collections::BTreeSet;

use super::Check;
use crate::config::Config;
use crate::section::persona::Persona;
use crate::tree::Path;

/// Stop strings that endpoints take.
const MOST_STOPS: usize = 16;

pub(super) fn check(config: &Config, check: &mut Check<'_>) {
    for (name, persona) in &config.personas {
        let path = Path::keys(["personas", name]);
        for (index, model) in persona.models.iter().enumerate() {
            check.reference(&path.key("models").index(index), "models", model);
        }
        sampling(persona, &path, check);
        check.count(&path.key("max_tokens"), persona.max_tokens, 1, 1_000_000);
        let history = path.key("history").key("tokens");
        check.count(&history, persona.history.tokens, 1, 10_000_000);
        for key in ["models", "tools", "flows"] {
            let names = match key {
                "models" => &persona.models,
                "tools" => &persona.tools,
                _ => &persona.flows,
            };
            unique(names, &path.key(key), check);
        }
    }
}

fn sampling(persona: &Persona, path: &Path, check: &mut Check<'_>) {
    check.within(
        &path.key("temperature"),
        persona.temperature.into(),
        0.0,
        5.0,
    );
    check.within(&path.key("top_p"), persona.top_p.into(), 0.0, 1.0);
    check.within(&path.key("min_p"), persona.min_p.into(), 0.0, 1.0);
    check.within(
        &path.key("repetition_penalty"),
        persona.repetition_penalty.into(),
        0.1,
        10.0,
    );
    let stops = path.key("stop");
    if persona.stop.len() > MOST_STOPS {
        check.report(&stops, format!("there may be {MOST_STOPS} at most"));
    }
    for (index, stop) in persona.stop.iter().enumerate() {
        if stop.is_empty() {
            check.report(&stops.index(index), "it is empty");
        }
    }
}

fn unique(names: &[String], path: &Path, check: &mut Check<'_>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            check.report(&path.index(index), "it is empty");
        } else if !seen.insert(name) {
            check.report(&path.index(index), "it is named twice");
        }
    }
}

/// Gives personas without models all there are: remote ones first, since whoever has configured
/// one wants it, then those of this process, which always can answer.
pub(super) fn with_models(mut config: Config) -> Config {
    let mut models: Vec<_> = config.models.iter().collect();
    models.sort_by_key(|(name, model)| (model.is_local(), *name));
    let all: Vec<String> = models.into_iter().map(|(name, _)| name.clone()).collect();
    for persona in config
        .personas
        .values_mut()
        .filter(|persona| persona.models.is_empty())
    {
        persona.models.clone_from(&all);
    }
    config
}
