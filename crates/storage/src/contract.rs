//! Behaviours that every store keeps, written against the traits alone.
//!
//! An adapter's tests say `tertulia_storage::contract_tests!(make)`, where `make` is an async
//! function that gives an empty store; each behaviour becomes a test of its own.
//!
//! A behaviour is told as a [`Scene`]: somebody says something, we answer, and then we look.

#![expect(clippy::unwrap_used, reason = "these are the bodies of tests")]

mod context;
mod erasure;
mod inbox;
mod outbox;
mod places;
mod scene;
mod summaries;
mod turns;

pub use context::*;
pub use erasure::*;
pub use inbox::*;
pub use outbox::*;
pub use places::*;
pub use scene::Scene;
pub use summaries::*;
pub use turns::*;

/// Makes a test of each behaviour; takes the async function that gives an empty store.
#[macro_export]
macro_rules! contract_tests {
    ($make:path) => {
        $crate::contract_tests!($make:
            a_repeated_update_changes_nothing,
            a_batch_is_taken_in_as_a_whole,
            old_updates_are_forgotten_with_their_keys,
            pieces_within_the_window_are_one_prompt,
            pieces_do_not_overtake_a_command,
            too_much_waiting_is_refused_visibly,
            an_edit_changes_what_was_said,
            a_stop_means_what_came_before,
            a_stop_of_one_turn_stays_in_its_chat,
            a_judgement_needs_a_reply_of_ours,

            turns_are_taken_in_order,
            a_prompt_waits_for_its_pieces,
            a_running_turn_is_taken_up_again,
            a_turn_ends_once,
            what_is_unfinished_is_found,
            usage_is_counted_by_person_chat_and_model,
            a_stop_command_knows_whether_it_stopped,

            a_reply_stands_behind_what_it_answers,
            contexts_of_conversations_never_meet,
            the_context_is_the_latest_of_the_window,
            what_has_no_answer_is_no_context,
            a_retry_sees_what_the_turn_saw,
            a_retry_brings_a_failed_prompt_back,
            an_undone_turn_leaves_the_context,
            a_subject_of_another_conversation_is_refused,
            a_chat_is_shown_to_its_person_alone,
            old_messages_are_erased_but_not_what_waits,

            a_summary_moves_the_window_and_back,
            a_fresh_start_outlives_a_late_summary,
            choices_of_a_conversation_are_kept,

            an_opened_delivery_is_there_once,
            an_opened_delivery_is_completed_by_the_answer,
            deliveries_of_running_turns_are_not_settled_by_others,
            an_unplaced_delivery_is_placed_anew,

            reach_is_known_by_chat_and_thread,
            a_delivery_knows_what_it_was_begun_after,
            a_moved_chat_takes_everything_along,
            a_moved_chat_is_taken_in_by_the_one_that_is_there,

            an_export_holds_what_a_forgetting_erases,
            a_forgetting_turn_can_still_be_ended,
            a_forgetting_leaves_others_alone,
        );
    };
    ($make:path: $($behaviour:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let store = $make().await;
                $crate::contract::$behaviour(&store).await;
            }
        )*
    };
}
