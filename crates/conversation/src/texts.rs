//! Everything we say ourselves, in one place per language.
//!
//! A [`Text`] is what is meant; a language's file says it. Causes of failures never travel into a
//! chat: texts carry only names and numbers that people know already.

mod chinese;
mod english;

use std::time::Duration;

use tertulia_domain::{Language, Money};

/// What is meant by a fixed text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Text<'a> {
    /// A greeting, for `/start`.
    Welcome,
    /// What the commands do, line by line.
    Help { admin: bool },
    /// No such command.
    UnknownCommand { name: &'a str },
    /// Only admins may.
    AdminsOnly,
    /// The context is fresh.
    Fresh,
    /// What ran was stopped.
    Stopped,
    /// Nothing ran.
    NothingToStop,
    /// There is nothing to answer again.
    NothingToRetry,
    /// The last exchange is no longer context.
    Undone,
    /// The last summary was taken back.
    SummaryUndone,
    /// There is nothing to take back.
    NothingToUndo,
    /// The choice of models, the present one first.
    Models {
        names: &'a [String],
        current: &'a str,
    },
    /// Another model from now on.
    ModelSet { name: &'a str },
    /// No such model.
    UnknownModel { name: &'a str, names: &'a [String] },
    /// The choice of personas, and the present one.
    Personas {
        names: &'a [String],
        current: &'a str,
    },
    /// Another persona from now on.
    PersonaSet { name: &'a str },
    /// No such persona.
    UnknownPersona { name: &'a str, names: &'a [String] },
    /// What was used today and in all.
    Usage {
        messages: u64,
        tokens: u64,
        money: Money,
        models: &'a [(String, u64)],
    },
    /// What is stored, as JSON.
    Export { json: &'a str },
    /// Too much is stored to show it here.
    ExportTooLarge { person: &'a str },
    /// Personal things are not shown in groups.
    OnlyInPrivate,
    /// What forgetting means and how to confirm it.
    ConfirmForget,
    /// Everything was erased.
    Forgotten,
    /// How the service is.
    Status { lines: &'a str },
    /// A reload went well.
    Reloaded { version: u64, restart: &'a [String] },
    /// A reload was refused, with its problems.
    ReloadRefused { problems: &'a str },
    /// The sender is not admitted.
    NotAllowed,
    /// Too much is waiting.
    Overloaded,
    /// More messages than may be sent in a while.
    TooManyMessages { amount: u64, per: Duration },
    /// The allowance of tokens or money is used up.
    AllowanceSpent { per: Duration },
    /// Attachments cannot be read.
    CannotRead,
    /// The text was read, the attachments were not.
    AttachmentsUnread,
    /// The message does not fit.
    TooLong,
    /// No model answered.
    NoAnswer,
    /// Something broke on our side.
    Broken,
    /// Another model than the first choice answered.
    AnsweredBy { name: &'a str },
}

// === impl Text ===

impl Text<'_> {
    /// Says it, in Markdown.
    pub(crate) fn say(&self, language: Language) -> String {
        match language {
            Language::English => english::say(self),
            Language::Chinese => chinese::say(self),
        }
    }
}

/// What a command does, for menus and help.
pub(crate) fn describe(command: &str, language: Language) -> &'static str {
    match language {
        Language::English => english::describe(command),
        Language::Chinese => chinese::describe(command),
    }
}

/// The line that tells a model how a group is written down; the same in every language.
pub(crate) const GROUP_NOTE: &str = "Several people talk in this chat. Each message begins with \
    the speaker's name. Answer the last message, without a name in front.";

/// What a summary is asked for with.
pub(crate) const SUMMARIZE: &str = "Summarize the conversation so far in at most 150 words, in \
    its own language. Keep names, facts, decisions and open questions. Write only the summary.";

/// What a summary stands behind in a prompt.
pub(crate) const SUMMARY_HEAD: &str = "Summary of the conversation before this point:";

/// What others said since the last answer stands behind.
pub(crate) const ASIDE_HEAD: &str = "(Said in the chat meanwhile:)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_described_in_every_language() {
        for language in Language::ALL {
            for command in crate::commands::NAMES {
                assert!(
                    !describe(command, language).is_empty(),
                    "{command} {language:?}"
                );
            }
        }
    }
}
