//! What comes in: an update and all that follows from it, committed as one.

use tertulia_domain::{
    AccountId, Ask, Attachment, ChatId, ConversationId, ConversationKey, Judgement, Language,
    MessageKind, PersonId, Place, PlatformMessageId, Timestamp, TurnId,
};

/// An update and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// The account that heard it.
    pub account: AccountId,
    /// What the platform calls the update; unique for the account.
    pub key: String,
    /// The update as it came.
    pub raw: String,
    /// Whose update it is, for export and erasure.
    pub person: Option<PersonId>,
    /// When it came in.
    pub at: Timestamp,
    /// What follows from it, in order.
    pub effects: Vec<Effect>,
}

/// Something that follows from an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A new turn, or more for the one that still waits for its pieces.
    Prompt(Box<NewPrompt>),
    /// Something overheard: context of the conversation, not a question.
    Aside {
        /// The conversation.
        key: ConversationKey,
        /// Whether it is a talk between two.
        private: bool,
        /// What was said.
        message: NewMessage,
    },
    /// A message says something else now: every transcript message with that id in that chat.
    Edited {
        /// The account that heard it.
        account: AccountId,
        /// The chat.
        chat: ChatId,
        /// The message.
        message: PlatformMessageId,
        /// The new text.
        text: String,
    },
    /// All turns of this conversation that have no end yet, and came before, shall stop.
    Stop {
        /// The conversation.
        key: ConversationKey,
    },
    /// This one turn shall stop, if it belongs to that chat and has no end yet.
    StopTurn {
        /// The account of the chat.
        account: AccountId,
        /// The chat.
        chat: ChatId,
        /// The turn.
        turn: TurnId,
    },
    /// Somebody judges a reply; ignored if it is not a reply of ours in that chat.
    Judged(Judged),
    /// A chat goes on under another id: conversations, open turns and deliveries follow.
    Moved {
        /// The account that is in the chat.
        account: AccountId,
        /// The id until now.
        from: ChatId,
        /// The id from now on.
        to: ChatId,
    },
    /// A chat can, or can no longer, be reached.
    Reach {
        /// The account that is in the chat.
        account: AccountId,
        /// The chat.
        chat: ChatId,
        /// Why it cannot be reached; none if it can.
        unreachable: Option<String>,
    },
}

/// Something to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPrompt {
    /// The conversation; made if it is new.
    pub key: ConversationKey,
    /// Where the answer goes.
    pub place: Place,
    /// Whether it is a talk between two.
    pub private: bool,
    /// Who asks.
    pub person: PersonId,
    /// That person's name as shown.
    pub name: String,
    /// That person's `@name`, without the `@`.
    pub handle: Option<String>,
    /// The language of that person's client.
    pub language: Language,
    /// What is asked.
    pub ask: Ask,
    /// What was said; none when a button asks.
    pub message: Option<NewMessage>,
    /// The message that the answer is a reply to.
    pub reply_to: Option<PlatformMessageId>,
    /// Not to be begun before.
    ///
    /// A [`Ask::Chat`] prompt that arrives earlier than this moment of a queued chat turn of the
    /// same person and conversation joins that turn (its messages, the later `ready_at`).
    pub ready_at: Timestamp,
    /// A [`Ask::Chat`] prompt becomes [`tertulia_domain::Refusal::Overloaded`] when this
    /// many turns of the conversation have no end yet.
    pub open_max: u32,
}

/// Something said.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// What it is to the conversation.
    pub kind: MessageKind,
    /// Who said it; none when it was us.
    pub person: Option<PersonId>,
    /// That person's name.
    pub name: Option<String>,
    /// The text.
    pub text: String,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// Its id on the platform.
    pub platform_id: Option<PlatformMessageId>,
    /// When it was said.
    pub at: Timestamp,
}

/// A judgement as it comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The account of the chat.
    pub account: AccountId,
    /// The chat.
    pub chat: ChatId,
    /// The reply that is meant.
    pub by: JudgedBy,
    /// Who judges.
    pub person: PersonId,
    /// The judgement.
    pub judgement: Judgement,
    /// How it was given: `button`, or the emoji.
    pub source: String,
}

/// How a judged reply is named.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgedBy {
    /// By its turn.
    Turn(TurnId),
    /// By a message of ours that shows it.
    Message(PlatformMessageId),
}

/// What came of a batch of arrivals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// How many were known already and passed over.
    pub known: usize,
    /// Conversations that have something to do.
    pub woken: Vec<ConversationId>,
    /// Turns that shall stop.
    pub stopped: Vec<TurnId>,
}
