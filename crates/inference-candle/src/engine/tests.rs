//! The engine with a model whose every answer is known: it goes on with the alphabet.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use tertulia_inference::{Finish, Sampling};
use tokio::sync::mpsc;

use super::{Engine, Event, Failure, Forward, Job, Limits, Memory, Refusal, Vocabulary};
use crate::decoder::Input;

/// A token that breaks the model.
const POISON: u32 = 200;
/// Ends every answer.
const END: u32 = 0;

/// Scores highest what follows in the alphabet, and the end after `z`.
struct Alphabet {
    steps: Arc<Mutex<Vec<Vec<usize>>>>,
    gate: Receiver<()>,
}

#[derive(Debug)]
struct Letters(Vec<u32>);

struct Bytes;

impl Forward for Alphabet {
    type Past = Letters;

    fn empty(&self) -> Letters {
        Letters(Vec::new())
    }

    fn bytes_per_token(&self) -> usize {
        1
    }

    fn step(&self, inputs: &mut [Input<'_, Letters>]) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
        // Closed means open for good.
        let _ = self.gate.recv();
        self.steps
            .lock()
            .unwrap()
            .push(inputs.iter().map(|one| one.tokens.len()).collect());
        Ok(inputs
            .iter_mut()
            .map(|input| {
                assert!(!input.tokens.contains(&POISON), "poison");
                input.past.0.extend_from_slice(input.tokens);
                let last = *input.past.0.last().unwrap();
                let next = if last >= u32::from(b'z') {
                    END
                } else {
                    last + 1
                };
                let row: Vec<f32> = (0..256).map(|t| f32::from(u8::from(t == next))).collect();
                vec![row; input.logits]
            })
            .collect())
    }
}

impl Memory for Letters {
    fn tokens(&self) -> usize {
        self.0.len()
    }
    fn bytes(&self) -> usize {
        self.0.len()
    }
    fn truncate(&mut self, tokens: usize) {
        self.0.truncate(tokens);
    }
    fn fork(&self, tokens: usize) -> Result<Self, Failure> {
        Ok(Self(self.0[..tokens].to_vec()))
    }
}

impl Vocabulary for Bytes {
    fn bytes(&self, token: u32) -> Cow<'_, [u8]> {
        Cow::Owned(vec![token as u8])
    }
    fn is_end(&self, token: u32) -> bool {
        token == END
    }
}

/// An engine, its record of steps, and the gate that each step passes.
struct World {
    engine: Engine,
    steps: Arc<Mutex<Vec<Vec<usize>>>>,
    gate: Option<Sender<()>>,
}

impl World {
    fn new(slots: usize, cache_bytes: usize) -> Self {
        let (gate, passes) = channel();
        let steps = Arc::new(Mutex::new(Vec::new()));
        let limits = Limits {
            name: "test".to_owned(),
            context: 100,
            slots,
            cache_bytes,
        };
        let model = Alphabet {
            steps: Arc::clone(&steps),
            gate: passes,
        };
        let engine = Engine::start(model, Arc::new(Bytes), limits).unwrap();
        Self {
            engine,
            steps,
            gate: Some(gate),
        }
    }

    fn open() -> Self {
        let mut world = Self::new(4, 1000);
        world.gate = None;
        world
    }

    fn pass(&self, steps: usize) {
        for _ in 0..steps {
            self.gate
                .as_ref()
                .expect("the gate is there")
                .send(())
                .unwrap();
        }
    }

    fn ask(&self, prompt: &str, change: impl FnOnce(&mut Job)) -> Answer {
        let (sender, events) = mpsc::channel(200);
        let mut job = Job {
            prompt: prompt.bytes().map(u32::from).collect(),
            tokens_max: 50,
            sampling: Sampling::greedy(),
            conversation: None,
            background: false,
            events: sender,
        };
        change(&mut job);
        self.engine.submit(job).expect("there is room");
        Answer(events)
    }
}

struct Answer(mpsc::Receiver<Result<Event, Failure>>);

impl Answer {
    /// The whole text, how it ended, and the tokens that a cache spared.
    fn end(mut self) -> Result<(String, Finish, u64), String> {
        let mut text = String::new();
        loop {
            match self
                .0
                .blocking_recv()
                .expect("an answer ends with a word about it")
            {
                Ok(Event::Text(more)) => text.push_str(&more),
                Ok(Event::Done { finish, tokens }) => {
                    assert!(self.0.blocking_recv().is_none(), "the end is the end");
                    return Ok((text, finish, tokens.cached));
                }
                Err(failure) => return Err(failure.to_string()),
            }
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with the end of an answer"
)]
fn done(text: &str, finish: Finish, cached: u64) -> Result<(String, Finish, u64), String> {
    Ok((text.to_owned(), finish, cached))
}

#[test]
fn ends_for_every_reason() {
    let world = World::open();
    assert_eq!(world.ask("u", |_| {}).end(), done("vwxyz", Finish::Stop, 0));
    assert_eq!(
        world.ask("u", |job| job.tokens_max = 2).end(),
        done("vw", Finish::Length, 0)
    );
    let stop = |job: &mut Job| job.sampling.stop = vec!["xy".to_owned()];
    assert_eq!(world.ask("u", stop).end(), done("vw", Finish::Stop, 0));
    let cut = |job: &mut Job| {
        job.sampling.stop = vec!["wxq".to_owned()];
        job.tokens_max = 3;
    };
    assert_eq!(
        world.ask("u", cut).end(),
        done("vwx", Finish::Length, 0),
        "nothing is held back"
    );
    let long = format!("{}a", "-".repeat(96));
    assert_eq!(
        world.ask(&long, |_| {}).end(),
        done("bcd", Finish::Length, 0),
        "context is full"
    );
}

#[test]
fn a_conversation_computes_only_what_is_new() {
    let world = World::open();
    let of = |id| move |job: &mut Job| job.conversation = Some(id);
    assert_eq!(
        world.ask("hello w", of(1)).end(),
        done("xyz", Finish::Stop, 0)
    );
    // The last token of the answer, and its end, were not computed any more.
    assert_eq!(
        world.ask("hello wxyz and w", of(1)).end(),
        done("xyz", Finish::Stop, 10)
    );
    assert_eq!(
        world.ask("hello wxyz and w", of(2)).end(),
        done("xyz", Finish::Stop, 0)
    );
    let rows: usize = world.steps.lock().unwrap().iter().flatten().sum();
    assert_eq!(rows, (7 + 3) + (6 + 3) + (16 + 3));
}

#[test]
fn answers_join_and_leave_between_steps() {
    let world = World::new(4, 1000);
    let first = world.ask("p", |_| {});
    world.pass(3);
    let second = world.ask("w", |_| {});
    let third = world.ask("x", |_| {});
    world.pass(20);
    assert_eq!(second.end(), done("xyz", Finish::Stop, 0));
    assert_eq!(third.end(), done("yz", Finish::Stop, 0));
    assert_eq!(first.end(), done("qrstuvwxyz", Finish::Stop, 0));
    let steps = world.steps.lock().unwrap();
    assert!(steps.contains(&vec![1, 1, 1]), "{steps:?}");
    assert!(steps.len() <= 12, "shared steps: {steps:?}");
}

#[test]
fn who_does_not_listen_any_more_costs_no_step() {
    let world = World::new(4, 1000);
    let mut left = world.ask("a", |_| {});
    world.pass(2);
    assert!(matches!(left.0.blocking_recv(), Some(Ok(Event::Text(_)))));
    drop(left);
    let stays = world.ask("v", |_| {});
    world.pass(50);
    assert_eq!(stays.end(), done("wxyz", Finish::Stop, 0));
    let steps = world.steps.lock().unwrap();
    assert!(steps.len() <= 9, "{steps:?}");
}

#[test]
fn what_nobody_waits_for_goes_last() {
    let mut world = World::new(1, 1000);
    let first = world.ask("w", |_| {});
    world.pass(1);
    let hidden = world.ask("hidden: q", |job| job.background = true);
    let urgent = world.ask("now: q", |_| {});
    world.gate = None;
    for answer in [first, hidden, urgent] {
        answer.end().unwrap();
    }
    let steps = world.steps.lock().unwrap();
    let prompts: Vec<usize> = steps
        .iter()
        .flatten()
        .copied()
        .filter(|&rows| rows > 1)
        .collect();
    assert_eq!(prompts, [6, 9], "the later one goes first");
}

#[test]
fn answers_wait_for_memory() {
    // Each may need 51 tokens; two do not fit.
    let world = World::new(4, 100);
    let (first, second) = (world.ask("a", |_| {}), world.ask("b", |_| {}));
    world.pass(100);
    assert!(first.end().is_ok() && second.end().is_ok());
    assert!(
        world
            .steps
            .lock()
            .unwrap()
            .iter()
            .all(|step| step.len() == 1)
    );
}

#[test]
fn a_panic_ends_what_ran_and_nothing_else_until_the_third() {
    let mut world = World::new(4, 1000);
    let poisoned = |job: &mut Job| job.prompt.push(POISON);
    let victim = world.ask("a", |_| {});
    world.pass(1);
    let culprit = world.ask("a", poisoned);
    world.gate = None;
    assert!(culprit.end().unwrap_err().contains("poison"));
    assert!(victim.end().is_err());
    assert_eq!(world.ask("w", |_| {}).end(), done("xyz", Finish::Stop, 0));
    for _ in 0..2 {
        assert!(world.ask("a", poisoned).end().is_err());
    }
    let (events, _listener) = mpsc::channel(9);
    let job = Job {
        prompt: vec![1],
        tokens_max: 1,
        sampling: Sampling::greedy(),
        conversation: None,
        background: false,
        events,
    };
    assert!(matches!(world.engine.submit(job), Err(Refusal::OutOfOrder)));
}

#[test]
fn dropping_the_engine_ends_its_thread_and_all_answers() {
    let mut world = World::new(1, 1000);
    let (working, waiting) = (world.ask("a", |_| {}), world.ask("b", |_| {}));
    // The step that runs is let through only once the engine is told to stop.
    let (stop, gate) = (Arc::clone(&world.engine.stop), world.gate.take());
    let opener = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        drop(gate);
    });
    drop(world.engine);
    opener.join().unwrap();
    for answer in [working, waiting] {
        assert!(answer.end().unwrap_err().contains("put away"));
    }
}
