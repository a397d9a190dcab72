-- What must outlive the process: updates, conversations, transcripts, turns, deliveries.
--
-- Moments are milliseconds since 1970-01-01 UTC. '' stands for "no thread" and "no person" where
-- the column is part of a key, because NULLs are all different to a UNIQUE index.
-- AUTOINCREMENT where an id's growing order means something: such an id is never given twice.

-- Updates as they came. Kept for a few days so that a repeated one is known.
CREATE TABLE updates (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    raw     TEXT    NOT NULL,
    person  TEXT,
    at      INTEGER NOT NULL,
    UNIQUE (account, key)
) STRICT;
CREATE INDEX updates_at ON updates (at);
CREATE INDEX updates_person ON updates (person) WHERE person IS NOT NULL;

CREATE TABLE people (
    person     TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    handle     TEXT,
    language   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account      TEXT    NOT NULL,
    chat         TEXT    NOT NULL,
    thread       TEXT    NOT NULL,
    person       TEXT    NOT NULL,
    private      INTEGER NOT NULL CHECK (private IN (0, 1)),
    -- Whose private chat it is.
    owner        TEXT,
    persona      TEXT,
    model        TEXT,
    -- The number of its latest turn; counts on when turns are erased.
    turns        INTEGER NOT NULL DEFAULT 0,
    fresh_after  INTEGER NOT NULL DEFAULT 0,
    window_after INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (account, chat, thread, person)
) STRICT;
CREATE INDEX conversations_owner ON conversations (owner, account) WHERE owner IS NOT NULL;
CREATE INDEX conversations_person ON conversations (person) WHERE person <> '';

CREATE TABLE turns (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    account      TEXT    NOT NULL,
    chat         TEXT    NOT NULL,
    thread       TEXT    NOT NULL,
    private      INTEGER NOT NULL CHECK (private IN (0, 1)),
    person       TEXT    NOT NULL,
    language     TEXT    NOT NULL,
    reply_to     TEXT,
    -- What is asked for: its sort, for queries, and the whole as JSON.
    asks         TEXT    NOT NULL CHECK (asks IN ('chat', 'command', 'retry', 'refusal')),
    ask          TEXT    NOT NULL CHECK (json_valid(ask)),
    state        TEXT    NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'running', 'answered', 'refused', 'cancelled', 'failed')
    ),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    stopped      INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1)),
    -- The id of its first message; of the latest message before it where it has none.
    anchor       INTEGER NOT NULL,
    ready_at     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    UNIQUE (conversation, number),
    CHECK ((ended_at IS NULL) = (state IN ('queued', 'running')))
) STRICT;
CREATE INDEX turns_open ON turns (conversation, id) WHERE ended_at IS NULL;
CREATE INDEX turns_chats ON turns (conversation, id) WHERE asks = 'chat';
CREATE INDEX turns_stopped ON turns (conversation, ended_at) WHERE stopped = 1;
CREATE INDEX turns_person ON turns (person, created_at);
CREATE INDEX turns_place ON turns (account, chat, created_at);

CREATE TABLE messages (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn         INTEGER REFERENCES turns (id) ON DELETE CASCADE,
    anchor       INTEGER NOT NULL,
    kind         TEXT    NOT NULL CHECK (
        kind IN ('prompt', 'aside', 'command', 'reply', 'notice')
    ),
    state        TEXT    NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'undone', 'superseded')),
    person       TEXT,
    name         TEXT,
    text         TEXT    NOT NULL,
    attachments  TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(attachments)),
    platform_id  TEXT,
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_order ON messages (conversation, anchor, id);
CREATE INDEX messages_arrival ON messages (conversation, id);
CREATE INDEX messages_turn ON messages (turn) WHERE turn IS NOT NULL;
CREATE INDEX messages_platform ON messages (platform_id, conversation)
    WHERE platform_id IS NOT NULL;
CREATE INDEX messages_person ON messages (person, at) WHERE person IS NOT NULL;
CREATE INDEX messages_at ON messages (at);

CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn         INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    part         INTEGER NOT NULL CHECK (part >= 0),
    account      TEXT    NOT NULL,
    chat         TEXT    NOT NULL,
    thread       TEXT    NOT NULL,
    reply_to     TEXT,
    content      TEXT    NOT NULL CHECK (json_valid(content)),
    buttons      TEXT    NOT NULL CHECK (json_valid(buttons)),
    state        TEXT    NOT NULL CHECK (
        state IN ('pending', 'sending', 'sent', 'in_doubt', 'dropped')
    ),
    message      TEXT,
    -- The greatest message id known in the chat when it was last begun.
    begun_after  INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (turn, part)
) STRICT;
CREATE INDEX deliveries_unsettled ON deliveries (conversation, id)
    WHERE state IN ('pending', 'sending', 'in_doubt');
CREATE INDEX deliveries_conversation ON deliveries (conversation);
CREATE INDEX deliveries_message ON deliveries (account, chat, message)
    WHERE message IS NOT NULL;

-- One judgement of each person on each turn: the latest.
CREATE TABLE feedback (
    turn      INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    person    TEXT    NOT NULL,
    judgement TEXT    NOT NULL CHECK (judgement IN ('good', 'bad', 'neutral')),
    source    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (turn, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX feedback_person ON feedback (person);

-- What was spent outlives what it was spent on: no foreign keys, and person '' once erased.
CREATE TABLE usage (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    turn          INTEGER NOT NULL,
    conversation  INTEGER NOT NULL,
    person        TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    reply_tokens  INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    at            INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_person ON usage (person, at);
CREATE INDEX usage_conversation ON usage (conversation, at);

CREATE TABLE summaries (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation  INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    upto          INTEGER NOT NULL,
    text          TEXT    NOT NULL,
    -- The conversation's window when it was added, for taking it back.
    window_before INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    undone_at     INTEGER
) STRICT;
CREATE INDEX summaries_conversation ON summaries (conversation, id);
CREATE INDEX summaries_created ON summaries (created_at);

-- What is known about reaching places; the chat itself has thread ''.
CREATE TABLE places (
    account      TEXT    NOT NULL,
    chat         TEXT    NOT NULL,
    thread       TEXT    NOT NULL,
    unreachable  TEXT,
    thread_gone  INTEGER NOT NULL DEFAULT 0 CHECK (thread_gone IN (0, 1)),
    -- The greatest message id seen in the chat, where ids are numbers.
    last_message INTEGER,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (account, chat, thread)
) STRICT, WITHOUT ROWID;
