//! Chat commands: fixed answers, with rights checked here and nowhere else.

use std::time::Duration;

use tertulia_domain::{Command, Language, ModelName, PersonaName, TurnEnd};
use tertulia_storage::{Conversation, Spent};

use crate::answer::Answering;
use crate::patience::{Halt, patiently};
use crate::texts::{self, Text};

/// The command that stops, known where updates are taken in.
pub(crate) const STOP: &str = "stop";
/// The command that answers again, likewise.
pub(crate) const RETRY: &str = "retry";
/// What a chat shows of an export.
const EXPORT_CHARS_MAX: usize = 12_000;
const DAY: Duration = Duration::from_secs(86_400);

/// Every command, in the order of menus; those for admins last.
pub(crate) const NAMES: [&str; 13] = [
    "start",
    "help",
    "new",
    STOP,
    RETRY,
    "undo",
    "model",
    "persona",
    "usage",
    "export",
    "forget_me",
    "status",
    "reload",
];
const FOR_ADMINS: [&str; 2] = ["status", "reload"];

/// The commands of a menu with what they do, for platforms that show one.
pub fn menu(language: Language) -> Vec<(String, String)> {
    names(false)
        .map(|name| (name.to_owned(), texts::describe(name, language).to_owned()))
        .collect()
}

/// The names that a person may use.
pub(crate) fn names(admin: bool) -> impl Iterator<Item = &'static str> {
    NAMES
        .into_iter()
        .filter(move |name| admin || !FOR_ADMINS.contains(name))
}

/// Whether there is such a command.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Does what a command asks for; how the turn ends and what we say.
pub(crate) async fn run(
    answering: &Answering<'_>,
    conversation: &Conversation,
    command: &Command,
) -> Result<(TurnEnd, String), Halt> {
    let Answering {
        shared,
        settings,
        turn,
        end,
        ..
    } = answering;
    let storage = &shared.storage;
    let language = turn.language;
    let admin = settings.is_admin(&turn.person);
    let say = |text: Text<'_>| Ok((TurnEnd::Answered, text.say(language)));
    let refuse = |text: Text<'_>| Ok((TurnEnd::Refused, text.say(language)));
    if FOR_ADMINS.contains(&command.name.as_str()) && !admin {
        return refuse(Text::AdminsOnly);
    }
    match command.name.as_str() {
        "start" => say(Text::Welcome),
        "help" => say(Text::Help { admin }),
        "new" => {
            let asked = || storage.asked(turn.id);
            let asked = patiently(end, "read a command", asked).await?;
            if let Some(message) = asked.last() {
                let afresh = || storage.start_afresh(turn.conversation, message.id);
                patiently(end, "begin afresh", afresh).await?;
            }
            say(Text::Fresh)
        }
        STOP => {
            let stopped = || storage.stopped_by(turn.id);
            let stopped = patiently(end, "read what was stopped", stopped).await?;
            say(if stopped {
                Text::Stopped
            } else {
                Text::NothingToStop
            })
        }
        "undo" if command.rest == "summary" => {
            let now = shared.clock.now();
            let undo = || storage.undo_summary(turn.conversation, now);
            let undone = patiently(end, "take a summary back", undo).await?;
            say(if undone {
                Text::SummaryUndone
            } else {
                Text::NothingToUndo
            })
        }
        "undo" => {
            let mut before = turn.id;
            loop {
                let last = || storage.last_chat(turn.conversation, before);
                let Some(last) = patiently(end, "find the last turn", last).await? else {
                    return say(Text::NothingToUndo);
                };
                let undo = || storage.undo_turn(last);
                if patiently(end, "take a turn back", undo).await? {
                    return say(Text::Undone);
                }
                // One that failed was never context; the one before it is meant.
                before = last;
            }
        }
        "model" => model(answering, conversation, &command.rest).await,
        "persona" => persona(answering, conversation, &command.rest).await,
        "usage" => usage(answering).await,
        "export" | "forget_me" if !turn.private => refuse(Text::OnlyInPrivate),
        "export" => {
            let export = || storage.export(&turn.person);
            let value = patiently(end, "export a person", export).await?;
            let json = serde_json::to_string_pretty(&value).unwrap_or_default();
            if json.chars().count() > EXPORT_CHARS_MAX {
                say(Text::ExportTooLarge {
                    person: &turn.person.to_string(),
                })
            } else {
                // A fence that the JSON cannot close.
                say(Text::Export {
                    json: &json.replace("```", "\\u0060\\u0060\\u0060"),
                })
            }
        }
        "forget_me" if !is_yes(&command.rest) => say(Text::ConfirmForget),
        "forget_me" => {
            let forget = || storage.forget(&turn.person, Some(turn.id));
            patiently(end, "forget a person", forget).await?;
            say(Text::Forgotten)
        }
        "status" => status(answering).await,
        "reload" => match shared.operator.reload().await {
            Ok((version, restart)) => say(Text::Reloaded {
                version,
                restart: &restart,
            }),
            Err(problems) => say(Text::ReloadRefused {
                problems: &problems,
            }),
        },
        name => refuse(Text::UnknownCommand { name }),
    }
}

fn is_yes(text: &str) -> bool {
    ["yes", "是"]
        .iter()
        .any(|yes| text.eq_ignore_ascii_case(yes))
}

async fn model(
    answering: &Answering<'_>,
    conversation: &Conversation,
    wanted: &str,
) -> Result<(TurnEnd, String), Halt> {
    let Answering {
        shared,
        settings,
        turn,
        end,
        ..
    } = answering;
    let persona = settings.persona(conversation.persona.as_ref(), &turn.place.account);
    let models = persona
        .map(|persona| persona.models.clone())
        .unwrap_or_default();
    let names: Vec<String> = models.iter().map(ToString::to_string).collect();
    let text = if wanted.is_empty() {
        let chosen = conversation
            .model
            .as_ref()
            .filter(|name| models.contains(name));
        let current = chosen
            .or(models.first())
            .map(ToString::to_string)
            .unwrap_or_default();
        Text::Models {
            names: &names,
            current: &current,
        }
        .say(turn.language)
    } else if names.iter().any(|name| name == wanted) {
        let name = ModelName::from(wanted);
        let set = || shared.storage.set_model(turn.conversation, Some(&name));
        patiently(end, "choose a model", set).await?;
        Text::ModelSet { name: wanted }.say(turn.language)
    } else {
        Text::UnknownModel {
            name: &plain(wanted),
            names: &names,
        }
        .say(turn.language)
    };
    Ok((TurnEnd::Answered, text))
}

async fn persona(
    answering: &Answering<'_>,
    conversation: &Conversation,
    wanted: &str,
) -> Result<(TurnEnd, String), Halt> {
    let Answering {
        shared,
        settings,
        turn,
        end,
        ..
    } = answering;
    let mut names: Vec<String> = settings.personas.keys().map(ToString::to_string).collect();
    names.sort();
    let text = if wanted.is_empty() {
        let present = settings.persona(conversation.persona.as_ref(), &turn.place.account);
        let current = present
            .map(|persona| persona.name.to_string())
            .unwrap_or_default();
        Text::Personas {
            names: &names,
            current: &current,
        }
        .say(turn.language)
    } else if names.iter().any(|name| name == wanted) {
        let name = PersonaName::from(wanted);
        let set = || shared.storage.set_persona(turn.conversation, Some(&name));
        patiently(end, "choose a persona", set).await?;
        Text::PersonaSet { name: wanted }.say(turn.language)
    } else {
        Text::UnknownPersona {
            name: &plain(wanted),
            names: &names,
        }
        .say(turn.language)
    };
    Ok((TurnEnd::Answered, text))
}

/// A person's word as it may stand between backticks.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|c| *c != '`' && !c.is_control())
        .take(64)
        .collect()
}

async fn usage(answering: &Answering<'_>) -> Result<(TurnEnd, String), Halt> {
    let Answering {
        shared, turn, end, ..
    } = answering;
    let since = turn.created_at.before(DAY);
    let all = || shared.storage.spent_by(&turn.person, since, turn.id);
    let Spent {
        messages,
        tokens,
        money,
    } = patiently(end, "read the usage", all).await?;
    let by_model = || shared.storage.spent_by_model(&turn.person, since);
    let models: Vec<(String, u64)> = patiently(end, "read the usage by model", by_model)
        .await?
        .into_iter()
        .map(|(name, spent)| (name.to_string(), spent.tokens))
        .collect();
    let text = Text::Usage {
        messages,
        tokens,
        money,
        models: &models,
    };
    Ok((TurnEnd::Answered, text.say(turn.language)))
}

async fn status(answering: &Answering<'_>) -> Result<(TurnEnd, String), Halt> {
    let Answering {
        shared,
        settings,
        turn,
        end,
        ..
    } = answering;
    let counts = || shared.storage.counts();
    let counts = patiently(end, "count", counts).await?;
    let mut lines = shared.operator.status();
    let mut models: Vec<&str> = settings.models.keys().map(ModelName::as_str).collect();
    models.sort_unstable();
    lines.push(format!("config: version {}", settings.version));
    lines.push(format!("models: {}", models.join(", ")));
    lines.push(format!(
        "turns: {} queued, {} running; deliveries: {} unsettled, {} in doubt",
        counts.queued, counts.running, counts.unsettled, counts.in_doubt
    ));
    lines.push(format!(
        "conversations: {}, people: {}",
        counts.conversations, counts.people
    ));
    let list: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
    Ok((
        TurnEnd::Answered,
        Text::Status {
            lines: &list.join("\n"),
        }
        .say(turn.language),
    ))
}
