//! From the sections of a config file to the settings that turns begin with.

use std::collections::HashMap;
use std::time::Duration;

use tertulia_config::{self as config, Answer, Config};
use tertulia_conversation::{
    Account, Admission, Allowance, AnswerTo, Buttons, History, Limits, Model, Persona, Rate,
    Settings,
};
use tertulia_domain::{AccountId, ModelName, Money, PersonaName, Scope};
use tertulia_inference::Sampling;

/// The settings of a valid config, with the models that are ready.
pub(crate) fn settings(
    config: &Config,
    models: HashMap<ModelName, Model>,
    version: u64,
) -> Settings {
    Settings {
        version,
        personas: config
            .personas
            .iter()
            .map(|(name, section)| {
                (
                    PersonaName::from(name.as_str()),
                    persona(name, section).into(),
                )
            })
            .collect(),
        models,
        accounts: config
            .accounts
            .iter()
            .map(|(name, section)| (AccountId::from(name.as_str()), account(section)))
            .collect(),
        limits: Limits {
            per_person: allowance(&config.limits.per_person),
            per_chat: allowance(&config.limits.per_chat),
        },
        admins: config
            .roles
            .admin
            .iter()
            .filter_map(|person| person.parse().ok())
            .collect(),
    }
}

fn persona(name: &str, section: &config::Persona) -> Persona {
    Persona {
        name: name.into(),
        prompt: section.prompt.clone(),
        models: section
            .models
            .iter()
            .map(|name| ModelName::from(name.as_str()))
            .collect(),
        sampling: Sampling {
            temperature: section.temperature,
            top_p: section.top_p,
            top_k: section.top_k,
            min_p: section.min_p,
            repetition_penalty: section.repetition_penalty,
            seed: section.seed,
            stop: section.stop.clone(),
        },
        max_tokens: section.max_tokens,
        history: History {
            tokens: section.history.tokens,
            summarize: section.history.summarize,
        },
    }
}

fn account(section: &config::Account) -> Account {
    let (groups, allow, deny, buttons) = match section {
        config::Account::Telegram(a) => (&a.groups, &a.allow, &a.deny, &a.buttons),
        config::Account::Discord(a) => (&a.groups, &a.allow, &a.deny, &a.buttons),
        config::Account::Web(_) => return Account::for_talks(section.persona(), true),
    };
    let answers = |what| groups.answer.contains(&what);
    Account {
        persona: section.persona().into(),
        answer: AnswerTo {
            mention: answers(Answer::Mention),
            reply: answers(Answer::Reply),
            command: answers(Answer::Command),
            all: answers(Answer::All),
        },
        scope: match groups.scope {
            config::Scope::Person => Scope::Person,
            config::Scope::Thread => Scope::Thread,
            config::Scope::Chat => Scope::Chat,
        },
        admission: Admission {
            allow_people: allow.people.clone(),
            allow_chats: allow.chats.clone(),
            deny_people: deny.people.clone(),
            deny_chats: deny.chats.clone(),
        },
        buttons: Buttons {
            private: buttons.private,
            groups: buttons.groups,
        },
    }
}

fn allowance(limit: &config::Limit) -> Allowance {
    let whole = |rate: config::Rate| Rate {
        amount: rate.amount.floor() as u64,
        per: per(rate),
    };
    Allowance {
        messages: limit.messages.map(whole),
        tokens: limit.tokens.map(whole),
        money: limit.money.map(|rate| Rate {
            amount: Money((rate.amount * 1e6).round() as i64),
            per: per(rate),
        }),
    }
}

fn per(rate: config::Rate) -> Duration {
    rate.per
}
