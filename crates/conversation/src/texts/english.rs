//! What we say, in English.

use std::time::Duration;

use super::Text;
use crate::commands;

pub(super) fn say(text: &Text<'_>) -> String {
    match text {
        Text::Welcome => {
            "Hello! Write to me and I will answer. /help lists what else I can do.".into()
        }
        Text::Help { admin } => {
            let mut lines = vec![
                "Just write, and I answer. Besides:".to_owned(),
                String::new(),
            ];
            lines.extend(
                commands::names(*admin).map(|name| format!("- /{name} — {}", describe(name))),
            );
            lines.join("\n")
        }
        Text::UnknownCommand { name } => format!("I do not know /{name}. /help lists what I know."),
        Text::AdminsOnly => "Only admins can do that.".into(),
        Text::Fresh => "A fresh start: I no longer look at what was said before.".into(),
        Text::Stopped => "Stopped.".into(),
        Text::NothingToStop => "Nothing is running.".into(),
        Text::NothingToRetry => "There is nothing to answer again.".into(),
        Text::Undone => "Done: your last message and my answer no longer count.".into(),
        Text::SummaryUndone => {
            "Done: I look at the messages themselves again, as far as they fit.".into()
        }
        Text::NothingToUndo => "There is nothing to take back.".into(),
        Text::Models { names, current } => choice("Models", "/model NAME", names, current),
        Text::ModelSet { name } => format!("From now on `{name}` answers first here."),
        Text::UnknownModel { name, names } => {
            format!(
                "There is no model `{name}` here. There are: {}.",
                list(names)
            )
        }
        Text::Personas { names, current } => choice("Personas", "/persona NAME", names, current),
        Text::PersonaSet { name } => format!("From now on I am `{name}` here."),
        Text::UnknownPersona { name, names } => {
            format!("There is no persona `{name}`. There are: {}.", list(names))
        }
        Text::Usage {
            messages,
            tokens,
            money,
            models,
        } => {
            let mut text = format!("In the last 24 hours: {messages} messages, {tokens} tokens");
            if money.0 > 0 {
                text.push_str(&format!(", {money} in money"));
            }
            text.push('.');
            for (model, tokens) in *models {
                text.push_str(&format!("\n- `{model}`: {tokens} tokens"));
            }
            text
        }
        Text::Export { json } => format!("Everything stored about you:\n\n```json\n{json}\n```"),
        Text::ExportTooLarge { person } => format!(
            "That is too much for a chat. Ask an admin for `tertulia person export {person}`."
        ),
        Text::OnlyInPrivate => "That is personal: please ask me in a private chat.".into(),
        Text::ConfirmForget => "This erases everything stored about you: our private \
            conversations, what you said in groups, your usage and feedback. It cannot be undone. \
            To go on, send `/forget_me yes`."
            .into(),
        Text::Forgotten => "Everything stored about you is erased.".into(),
        Text::Status { lines } => (*lines).to_owned(),
        Text::Reloaded {
            version,
            restart: [],
        } => {
            format!("The new config is in force (version {version}).")
        }
        Text::Reloaded { version, restart } => format!(
            "The new config is in force (version {version}). After a restart also: {}.",
            list(restart)
        ),
        Text::ReloadRefused { problems } => {
            format!("The config has problems; the old one stays in force:\n\n```\n{problems}\n```")
        }
        Text::NotAllowed => "Sorry, this bot is not open to you.".into(),
        Text::Overloaded => {
            "Too many messages are waiting here. Please send this again in a moment.".into()
        }
        Text::TooManyMessages { amount, per } => format!(
            "That was more than {amount} messages {}. Please wait a moment and send it again.",
            within(*per)
        ),
        Text::AllowanceSpent { per } => {
            format!(
                "What may be used {} is used up. Please come back later.",
                within(*per)
            )
        }
        Text::CannotRead => {
            "I cannot read this kind of message yet. Please tell me in words.".into()
        }
        Text::AttachmentsUnread => "I cannot read attachments yet; this answers the text.".into(),
        Text::TooLong => "That is too long for me. Please send a shorter piece.".into(),
        Text::NoAnswer => "I could not get an answer just now. Please try again: /retry".into(),
        Text::Broken => "Something went wrong on my side. Please try again: /retry".into(),
        Text::AnsweredBy { name } => format!("answered by {name}"),
    }
}

pub(super) fn describe(command: &str) -> &'static str {
    match command {
        "start" => "say hello",
        "help" => "what I can do",
        "new" => "begin afresh",
        "stop" => "stop the answer",
        "retry" => "answer again",
        "undo" => "take back the last exchange, or a summary: /undo summary",
        "model" => "show or choose the model",
        "persona" => "show or choose the persona",
        "usage" => "what you have used",
        "export" => "everything stored about you",
        "forget_me" => "erase everything stored about you",
        "status" => "how I am (admins)",
        "reload" => "apply the changed config (admins)",
        _ => "",
    }
}

fn choice(title: &str, how: &str, names: &[String], current: &str) -> String {
    let mut text = format!("{title} (choose with {how}):");
    for name in names {
        let mark = if name == current { " ✓" } else { "" };
        text.push_str(&format!("\n- `{name}`{mark}"));
    }
    text
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn within(per: Duration) -> String {
    match per.as_secs() {
        60 => "per minute".into(),
        3600 => "per hour".into(),
        86_400 => "per day".into(),
        seconds => format!("within {seconds} seconds"),
    }
}
