//! What a failed delivery means: the table of errors, after the server's own source.

use std::time::Duration;

use tertulia_platform::{DeliverError, Unreachable};

use crate::api::ApiError;

/// What to do about a failed delivery.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It stands as it should.
    Stands,
    /// Flood control: wait this long, then go on.
    Wait(Duration),
    /// The styles are at fault, not the text.
    Plain,
    /// It ends here.
    Fail(DeliverError),
}

/// Judges a failed send, or a failed edit.
///
/// An edit may be repeated at will, so a lost answer costs nothing; a send may not, so whatever
/// may have reached the server is in doubt.
pub(crate) fn judge(error: ApiError, edit: bool) -> Verdict {
    if let Some(pause) = error.retry_after() {
        return Verdict::Wait(pause);
    }
    let (code, migrate_to) = match &error {
        ApiError::Unreached(_) => return Verdict::Fail(again(Duration::from_secs(1), error)),
        ApiError::Lost(_) | ApiError::Silent | ApiError::Garbled(_) => return doubt(error, edit),
        ApiError::Refused {
            code, migrate_to, ..
        } => (*code, *migrate_to),
    };
    let said = error.description().to_ascii_lowercase();
    let says = |what: &str| said.contains(what);
    if let Some(to) = migrate_to {
        return Verdict::Fail(DeliverError::Moved(to.to_string().into()));
    }
    Verdict::Fail(match code {
        500.. => return doubt(error, edit),
        // A refused token is nobody's delivery; it will go out when the token is mended.
        401 | 404 => again(Duration::from_secs(30), error),
        403 => DeliverError::Unreachable(unreachable(&said)),
        _ if edit && says("message is not modified") => return Verdict::Stands,
        _ if edit
            && (says("message to edit not found")
                || says("message can't be edited")
                || says("message_id_invalid")) =>
        {
            DeliverError::TargetGone
        }
        _ if says("message thread not found") || says("topic_deleted") => DeliverError::ThreadGone,
        _ if says("chat not found")
            || says("user not found")
            || says("peer_id_invalid")
            || says("group is deactivated")
            || says("group chat was deactivated") =>
        {
            DeliverError::Unreachable(Unreachable::Gone)
        }
        _ if says("not enough rights to send")
            || says("have no rights to send")
            || says("need administrator rights")
            || says("chat_write_forbidden") =>
        {
            DeliverError::Unreachable(Unreachable::Removed)
        }
        _ if says("can't parse entities") || says("entity_") || says("entities_too_long") => {
            return Verdict::Plain;
        }
        _ => DeliverError::Refused(Box::new(error)),
    })
}

fn unreachable(said: &str) -> Unreachable {
    if said.contains("blocked") || said.contains("can't initiate conversation") {
        Unreachable::Blocked
    } else if said.contains("deactivated") || said.contains("to bots") {
        Unreachable::Gone
    } else {
        Unreachable::Removed
    }
}

fn doubt(error: ApiError, edit: bool) -> Verdict {
    Verdict::Fail(if edit {
        again(Duration::from_secs(2), error)
    } else {
        DeliverError::InDoubt(Box::new(error))
    })
}

fn again(after: Duration, error: ApiError) -> DeliverError {
    DeliverError::Again {
        after,
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, description: &str) -> ApiError {
        ApiError::Refused {
            code,
            description: description.to_owned(),
            retry_after: None,
            migrate_to: None,
        }
    }

    fn told(code: u16, description: &str, edit: bool) -> String {
        match judge(refused(code, description), edit) {
            Verdict::Stands => "stands".to_owned(),
            Verdict::Wait(pause) => format!("wait {pause:?}"),
            Verdict::Plain => "plain".to_owned(),
            Verdict::Fail(error) => match error {
                DeliverError::Again { after, .. } => format!("again {after:?}"),
                DeliverError::InDoubt(_) => "in doubt".to_owned(),
                DeliverError::Unreachable(why) => why.as_str().to_owned(),
                DeliverError::Moved(to) => format!("moved {to}"),
                DeliverError::ThreadGone => "thread gone".to_owned(),
                DeliverError::TargetGone => "target gone".to_owned(),
                DeliverError::Refused(_) => "refused".to_owned(),
                DeliverError::Skipped | DeliverError::Unsupported => "never".to_owned(),
            },
        }
    }

    #[test]
    fn every_line_of_the_table_is_obeyed() {
        for (code, description, send, edit) in [
            (
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                "refused",
                "stands",
            ),
            (
                400,
                "Bad Request: message to edit not found",
                "refused",
                "target gone",
            ),
            (
                400,
                "Bad Request: message can't be edited",
                "refused",
                "target gone",
            ),
            (
                400,
                "Bad Request: MESSAGE_ID_INVALID",
                "refused",
                "target gone",
            ),
            (
                403,
                "Forbidden: bot was blocked by the user",
                "blocked",
                "blocked",
            ),
            (403, "Forbidden: user is deactivated", "gone", "gone"),
            (
                403,
                "Forbidden: bot was kicked from the group chat",
                "removed",
                "removed",
            ),
            (
                403,
                "Forbidden: bot was kicked from the supergroup chat",
                "removed",
                "removed",
            ),
            (
                403,
                "Forbidden: bot is not a member of the channel chat",
                "removed",
                "removed",
            ),
            (
                403,
                "Forbidden: bot can't initiate conversation with a user",
                "blocked",
                "blocked",
            ),
            (
                403,
                "Forbidden: bot can't send messages to bots",
                "gone",
                "gone",
            ),
            (400, "Bad Request: chat not found", "gone", "gone"),
            (
                400,
                "Bad Request: not enough rights to send text messages to the chat",
                "removed",
                "removed",
            ),
            (
                400,
                "Bad Request: message thread not found",
                "thread gone",
                "thread gone",
            ),
            (
                400,
                "Bad Request: can't parse entities: unexpected end of name token",
                "plain",
                "plain",
            ),
            (400, "Bad Request: ENTITY_BOUNDS_INVALID", "plain", "plain"),
            (
                400,
                "Bad Request: message is too long",
                "refused",
                "refused",
            ),
            (
                400,
                "Bad Request: message text is empty",
                "refused",
                "refused",
            ),
            (
                400,
                "Bad Request: text must be non-empty",
                "refused",
                "refused",
            ),
            (401, "Unauthorized", "again 30s", "again 30s"),
            (404, "Not Found", "again 30s", "again 30s"),
            (
                500,
                "Internal Server Error: restart",
                "in doubt",
                "again 2s",
            ),
            (502, "Bad Gateway", "in doubt", "again 2s"),
        ] {
            assert_eq!(told(code, description, false), send, "send: {description}");
            assert_eq!(told(code, description, true), edit, "edit: {description}");
        }
    }

    #[test]
    fn floods_and_moves_are_read_from_the_parameters() {
        let flood = ApiError::Refused {
            code: 429,
            description: "Too Many Requests: retry after 17".to_owned(),
            retry_after: Some(Duration::from_secs(17)),
            migrate_to: None,
        };
        assert!(
            matches!(judge(flood, false), Verdict::Wait(pause) if pause == Duration::from_secs(17))
        );
        let moved = ApiError::Refused {
            code: 400,
            description: "Bad Request: group chat was upgraded to a supergroup chat".to_owned(),
            retry_after: None,
            migrate_to: Some(-1005),
        };
        assert!(
            matches!(judge(moved, false), Verdict::Fail(DeliverError::Moved(to)) if to.as_str() == "-1005")
        );
    }

    #[test]
    fn a_lost_answer_leaves_a_send_in_doubt_and_an_edit_to_be_repeated() {
        for error in [|| ApiError::Silent, || ApiError::Garbled(502)] {
            assert!(matches!(
                judge(error(), false),
                Verdict::Fail(DeliverError::InDoubt(_))
            ));
            assert!(matches!(
                judge(error(), true),
                Verdict::Fail(DeliverError::Again { .. })
            ));
        }
    }
}
