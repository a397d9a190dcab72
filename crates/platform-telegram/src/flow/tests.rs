//! Flow control on paused time.

use super::*;

const PERSON: i64 = 7;
const GROUP: i64 = -1001;

fn flow() -> Arc<Flow> {
    Arc::new(Flow::new(Limits::default()))
}

async fn speak(flow: &Flow, chat: i64) {
    let lane = flow.lane(chat).await;
    flow.room(&lane).await;
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn finals_in_a_chat_go_out_at_the_published_pace() {
    let flow = flow();
    let start = Instant::now();
    for _ in 0..9 {
        speak(&flow, PERSON).await;
    }
    assert!((5.9..7.0).contains(&seconds(start)), "{}", seconds(start));
}

#[tokio::test(start_paused = true)]
async fn a_group_never_hears_more_than_twenty_in_any_minute() {
    let flow = flow();
    let mut heard = Vec::new();
    for _ in 0..45 {
        speak(&flow, GROUP).await;
        heard.push(Instant::now());
    }
    for (first, after_twenty) in heard.iter().zip(heard.iter().skip(20)) {
        assert!(after_twenty.duration_since(*first) >= Duration::from_secs(60));
    }
}

#[tokio::test(start_paused = true)]
async fn the_account_never_sends_more_than_thirty_in_any_second() {
    let flow = flow();
    let spoken: Vec<_> = (1..=90)
        .map(|chat| {
            let flow = flow.clone();
            tokio::spawn(async move {
                speak(&flow, chat).await;
                Instant::now()
            })
        })
        .collect();
    let mut heard = Vec::new();
    for one in spoken {
        heard.push(one.await.unwrap());
    }
    heard.sort();
    for (first, after_thirty) in heard.iter().zip(heard.iter().skip(30)) {
        assert!(after_thirty.duration_since(*first) >= Duration::from_secs(1));
    }
    assert!(*heard.last().unwrap() - heard[0] <= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_live_leaves_room_for_finals() {
    let flow = flow();
    let mut placed = 0;
    for _ in 0..600 {
        placed += usize::from(flow.live(GROUP, true).is_some());
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!((12..=16).contains(&placed), "{placed}");
    let start = Instant::now();
    for _ in 0..3 {
        speak(&flow, GROUP).await;
    }
    assert!(seconds(start) < 1.5, "finals waited {} s", seconds(start));
}

#[tokio::test(start_paused = true)]
async fn what_is_live_never_overtakes_or_waits() {
    let flow = flow();
    let lane = flow.lane(PERSON).await;
    assert!(flow.live(PERSON, true).is_none(), "a final is in flight");
    assert!(flow.draft(PERSON).is_none());
    drop(lane);
    let live = flow.live(PERSON, true).expect("room to spare");
    let waiting = tokio::spawn({
        let flow = flow.clone();
        async move { speak(&flow, PERSON).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "an edit is in flight");
    drop(live);
    assert!(
        flow.live(PERSON, true).is_none(),
        "the final is first in line"
    );
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn finals_of_one_chat_keep_their_order() {
    let flow = flow();
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = flow.lane(PERSON).await;
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (flow, order) = (flow.clone(), order.clone());
        waiting.push(tokio::spawn(async move {
            let lane = flow.lane(PERSON).await;
            flow.room(&lane).await;
            order.lock().unwrap().push(number);
        }));
        tokio::task::yield_now().await;
    }
    drop(first);
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_to_the_letter_and_only_where_it_is_meant() {
    let flow = flow();
    let start = Instant::now();
    flow.pause(PERSON, Duration::from_secs(17));
    assert!(flow.is_paused(PERSON) && !flow.is_paused(8));
    assert!(flow.live(PERSON, true).is_none() && flow.draft(PERSON).is_none());
    speak(&flow, 8).await;
    assert!(seconds(start) < 0.1);
    flow.pause(PERSON, Duration::from_secs(2));
    speak(&flow, PERSON).await;
    assert!(
        (17.0..17.1).contains(&seconds(start)),
        "a shorter pause ends no longer one"
    );
}

#[tokio::test(start_paused = true)]
async fn floods_in_many_chats_pause_the_account() {
    let flow = flow();
    for _ in 0..5 {
        flow.pause(1, Duration::from_secs(4));
    }
    assert!(
        !flow.is_paused(99),
        "one chat alone says nothing about others"
    );
    flow.pause(2, Duration::from_secs(4));
    flow.pause(3, Duration::from_secs(4));
    assert!(flow.is_paused(99));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(!flow.is_paused(99));
}

#[tokio::test(start_paused = true)]
async fn drafts_keep_their_distance() {
    let flow = flow();
    let mut shown = 0;
    for _ in 0..100 {
        shown += usize::from(flow.draft(PERSON).is_some());
        tokio::time::advance(Duration::from_millis(30)).await;
    }
    assert_eq!(shown, 10);
}

#[tokio::test(start_paused = true)]
async fn idle_chats_are_forgotten_and_paused_ones_are_not() {
    let flow = flow();
    flow.pause(-5, Duration::from_secs(1000));
    for chat in 1..=2000 {
        let _ = flow.draft(chat);
        tokio::time::advance(Duration::from_secs(1)).await;
        if chat == 900 {
            assert!(flow.is_paused(-5));
        }
    }
    assert!(
        flow.state().chats.len() <= 512,
        "{}",
        flow.state().chats.len()
    );
}
