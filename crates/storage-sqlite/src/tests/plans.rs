//! Every query of the hot way finds its rows by an index, however big the tables grow.

use sqlx::{AssertSqlSafe, Row};

use super::memory;
use crate::{accept, conversations, outbox, people, places, turns};

/// Queries, and whether they may walk through an index of open things as a whole.
const QUERIES: [(&str, &str, bool); 25] = [
    ("join", accept::JOINABLE, false),
    ("open turns", accept::OPEN, false),
    ("edit", accept::EDIT, false),
    ("stop", accept::STOP, false),
    ("judged message", accept::JUDGED_BY_MESSAGE, false),
    ("judged turn", accept::JUDGED_TURN, false),
    ("prune updates", accept::PRUNE_UPDATES, false),
    ("summary", conversations::SUMMARY, false),
    ("context", conversations::CONTEXT, false),
    ("undo", conversations::UNDO, false),
    ("chats", conversations::CHATS, false),
    ("shown", conversations::SHOWN, false),
    ("prune messages", conversations::PRUNE, false),
    ("unsettled", outbox::UNSETTLED, false),
    ("deliveries", outbox::OF_TURN, false),
    ("others", outbox::OTHERS, false),
    ("spent by", people::SPENT_BY, false),
    ("spent in", people::SPENT_IN, false),
    ("spent by model", people::SPENT_BY_MODEL, false),
    ("waiting", places::WAITING, false),
    ("place", places::STATE, false),
    ("unfinished", turns::UNFINISHED, true),
    ("oldest", turns::OLDEST, false),
    ("asked", turns::ASKED, false),
    ("last chat", turns::LAST_CHAT, false),
];

#[tokio::test]
async fn hot_queries_use_an_index() {
    let store = memory().await;
    let plans = store
        .read(|connection| {
            Box::pin(async move {
                let mut plans = Vec::new();
                for (name, query, open) in QUERIES {
                    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
                    for row in sqlx::query(explain).fetch_all(&mut *connection).await? {
                        plans.push((name, open, row.try_get::<String, _>("detail")?));
                    }
                }
                Ok(plans)
            })
        })
        .await
        .unwrap();
    for (name, open, step) in plans {
        let walks = step.starts_with("SCAN") && !step.contains("CONSTANT ROW");
        let of_open = step.contains("turns_open") || step.contains("deliveries_unsettled");
        assert!(
            !walks || (open && of_open),
            "{name} walks through a table: {step}"
        );
    }
}
