//! Everything stored about a person, as one JSON document.

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Row, SqliteConnection, TypeInfo, ValueRef};
use tertulia_domain::PersonId;

use crate::fault::Tried;

/// Columns that hold JSON and are shown as such.
const JSON: [&str; 4] = ["ask", "attachments", "content", "buttons"];

/// The lists of the document and where they come from; moments are milliseconds since 1970.
const LISTS: [(&str, &str); 9] = [
    (
        "conversations",
        "SELECT id, account, chat, thread, private, persona, model, created_at, updated_at \
         FROM conversations WHERE owner = ?1 OR person = ?1 ORDER BY id",
    ),
    (
        // Their conversations whole; elsewhere what they said and what was answered.
        "messages",
        "SELECT m.id, m.conversation, m.turn, m.kind, m.state, m.person, m.name, m.text, \
           m.attachments, m.platform_id, m.at \
         FROM messages m WHERE m.id IN \
           (SELECT id FROM messages WHERE person = ?1 \
            UNION SELECT a.id FROM turns t JOIN messages a ON a.turn = t.id WHERE t.person = ?1 \
            UNION SELECT a.id FROM conversations c JOIN messages a ON a.conversation = c.id \
              WHERE c.owner = ?1 OR c.person = ?1) \
         ORDER BY m.id",
    ),
    (
        "turns",
        "SELECT id, conversation, number, account, chat, thread, language, ask, state, \
           created_at, started_at, ended_at FROM turns WHERE person = ?1 ORDER BY id",
    ),
    (
        "deliveries",
        "SELECT d.id, d.turn, d.part, d.account, d.chat, d.thread, d.content, d.state, \
           d.message, d.created_at \
         FROM turns t JOIN deliveries d ON d.turn = t.id WHERE t.person = ?1 ORDER BY d.id",
    ),
    (
        "summaries",
        "SELECT s.conversation, s.text, s.created_at, s.undone_at \
         FROM conversations c JOIN summaries s ON s.conversation = c.id \
         WHERE c.owner = ?1 OR c.person = ?1 ORDER BY s.id",
    ),
    (
        "feedback",
        "SELECT turn, judgement, source, at FROM feedback WHERE person = ?1 ORDER BY at, turn",
    ),
    (
        "usage",
        "SELECT turn, model, prompt_tokens, cached_tokens, reply_tokens, cost, at \
         FROM usage WHERE person = ?1 ORDER BY id",
    ),
    (
        "places",
        "SELECT p.account, p.chat, p.thread, p.unreachable, p.thread_gone FROM places p \
         WHERE EXISTS (SELECT 1 FROM conversations c WHERE c.owner = ?1 \
           AND c.account = p.account AND c.chat = p.chat) \
         ORDER BY p.account, p.chat, p.thread",
    ),
    (
        "updates",
        "SELECT account, key, raw, at FROM updates WHERE person = ?1 ORDER BY id",
    ),
];

/// Everything stored about the person.
pub(crate) async fn export(connection: &mut SqliteConnection, person: &PersonId) -> Tried<Value> {
    let id = person.to_string();
    let known = sqlx::query(
        "SELECT name, handle, language, created_at, updated_at FROM people WHERE person = ?1",
    )
    .bind(&id)
    .fetch_optional(&mut *connection)
    .await?;
    let mut document = Map::new();
    document.insert("person".to_owned(), json!(id));
    if let Some(known) = known
        && let Value::Object(fields) = object(&known)?
    {
        document.extend(fields);
    }
    for (name, query) in LISTS {
        let rows = sqlx::query(query)
            .bind(&id)
            .fetch_all(&mut *connection)
            .await?;
        let list = rows.iter().map(object).collect::<Tried<Vec<_>>>()?;
        document.insert(name.to_owned(), Value::Array(list));
    }
    Ok(Value::Object(document))
}

/// A row as an object: column by column, JSON columns unfolded.
fn object(row: &SqliteRow) -> Tried<Value> {
    let mut object = Map::new();
    for (index, column) in row.columns().iter().enumerate() {
        let raw = row.try_get_raw(index)?;
        let value = if raw.is_null() {
            Value::Null
        } else if raw.type_info().name() == "INTEGER" {
            json!(row.try_get::<i64, _>(index)?)
        } else if JSON.contains(&column.name()) {
            serde_json::from_str(row.try_get(index)?)?
        } else {
            json!(row.try_get::<String, _>(index)?)
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(object))
}
