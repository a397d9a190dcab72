//! The page in a real browser: what people see and do there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use world::browser::{Browser, Page};
use world::openai::{OpenAiServer, Script};
use world::process::Tertulia;

use crate::visitor::client;

const SOON: Duration = Duration::from_secs(20);
/// The latest answer of ours that is complete.
const ANSWER: &str = "[...document.querySelectorAll('#messages li[data-role=assistant][data-state=done] .body')].at(-1)";

/// Whether an answer was judged good.
const LIKED: &str = "!!document.querySelector('[data-action=like][aria-pressed=true]')";

/// Whether nothing moves any more.
const STILL: &str = "document.getAnimations().every((one) => one.playState !== 'running')";

const RICH: &str = "# Tea at four\n\nA **tertulia** is a *regular* gathering, see \
    [the page](https://example.org/a?b=c).\n\n1. Someone reads\n2. Everyone talks\n   - softly\n   - at once\n\n\
    > Conversation is the whole of it.\n\n```rust\nfn main() {\n    println!(\"a rather long line of code that must scroll within its box and not widen the page at all\");\n}\n```\n\n\
    | tea | minutes | note |\n| --- | ---: | --- |\n| green | 2 | soft water, please, and not too hot |\n| black | 4 | milk? |\n\n\
    Inline `code` and an unbreakable word: Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihungsurkunde.";

struct World {
    server: Arc<OpenAiServer>,
    house: Tertulia,
    browser: Browser,
    page: Page,
}

/// Where pictures go: kept where somebody wants to look at them.
struct Pictures {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Pictures {
    fn new() -> Self {
        if let Some(folder) = std::env::var_os("TERTULIA_SCREENSHOTS") {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder).expect("TERTULIA_SCREENSHOTS can be made");
            return Self {
                folder,
                _temporary: None,
            };
        }
        let temporary = TempDir::new().expect("a temporary folder");
        Self {
            folder: temporary.path().to_owned(),
            _temporary: Some(temporary),
        }
    }

    async fn take(&self, page: &Page, name: &str) {
        page.wait_for(STILL, SOON).await;
        page.screenshot(&self.folder.join(format!("{name}.png")))
            .await;
    }
}

impl World {
    async fn new(language: &str) -> Self {
        let server = OpenAiServer::start().await;
        let config = format!(
            "[server]\nlisten = \"{{listen}}\"\n[models.gpt]\nkind = \"openai\"\nbase_url = \"{}\"\n\
             model = \"scripted\"\n[personas.default]\nmodels = [\"gpt\"]\n",
            server.base_url()
        );
        let (house, browser) =
            tokio::join!(Tertulia::start(&config, &[]), Browser::start_in(language));
        let page = browser.page().await;
        page.goto(&format!("{}/", house.base_url())).await;
        page.wait_for("document.activeElement?.id === 'composer'", SOON)
            .await;
        Self {
            server,
            house,
            browser,
            page,
        }
    }

    /// Writes with the keyboard and sends with Enter.
    async fn write(&self, text: &str) {
        self.page.type_text("#composer", text).await;
        self.page.press_key("Enter").await;
    }

    /// Waits until so many messages of ours are complete and nothing is being made.
    async fn answered(&self, count: usize) {
        let done = format!(
            "document.querySelectorAll('#messages li[data-role=assistant][data-state=done]').length === {count} \
             && !document.querySelector('#messages li[data-state=live]') \
             && !document.querySelector('#messages li[data-sending]') && document.querySelector('#stop').hidden"
        );
        self.page.wait_for(&done, SOON).await;
    }

    async fn answer(&self) -> String {
        self.page.eval(&format!("{ANSWER}.innerText.trim()")).await
    }

    async fn count(&self, selector: &str) -> usize {
        self.page
            .eval(&format!("document.querySelectorAll({selector:?}).length"))
            .await
    }

    fn no_errors(&self) {
        let errors = self.page.console_errors();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// So slow that it can be watched.
fn slow(text: &str) -> Script {
    Script::say(text).paced(Duration::ZERO, Duration::from_millis(60))
}

#[tokio::test]
async fn somebody_talks_at_the_page() {
    let world = World::new("en-US").await;
    let World { server, page, .. } = &world;
    // The answer grows before one's eyes.
    let story = (1..=20)
        .map(|n| format!("word{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    server.reply_next(slow(&story));
    world.write("hello").await;
    let length =
        "(document.querySelector('#messages li[data-state=live] .body')?.innerText.length ?? 0)";
    page.wait_for(&format!("(window.seen = {length}) > 5"), SOON)
        .await;
    page.wait_for(&format!("{length} > window.seen"), SOON)
        .await;
    world.answered(1).await;
    assert_eq!(world.answer().await, story);

    // Answers that are there at once leave nothing waiting behind.
    let begun = Instant::now();
    for number in 2..5 {
        world.write("quick").await;
        world.answered(number).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it took {:?}",
        begun.elapsed()
    );

    // Judged, and asked for again.
    page.click("#messages li:last-child [data-action=like]")
        .await;
    page.wait_for(LIKED, SOON).await;
    server.reply_next(Script::say("another answer"));
    page.click("[data-action=retry]").await;
    page.wait_for(
        &format!("{ANSWER}.innerText.trim() === 'another answer'"),
        SOON,
    )
    .await;

    // Stopped: what was said so far stays.
    server.reply_next(slow(&"again and ".repeat(200)));
    world.write("tell me more").await;
    page.wait_for(&format!("{length} > 10"), SOON).await;
    page.click("#stop").await;
    page.wait_for(
        "!document.querySelector('#messages li[data-state=live]')",
        SOON,
    )
    .await;
    server.wait_until(|server| server.active() == 0, SOON).await;
    let stopped = world.answer().await;
    assert!(
        stopped.starts_with("again and") && stopped.len() < 1900,
        "{stopped}"
    );

    // A reload shows the same.
    let all = "document.querySelector('#messages').innerText.replace(/\\s+/g, ' ')";
    let before: String = page.eval(all).await;
    page.reload().await;
    page.wait_for(&format!("{all}.length >= {}", before.len()), SOON)
        .await;
    assert_eq!(page.eval::<String>(all).await, before);
    assert!(page.eval::<bool>(LIKED).await);

    // A new conversation is empty and the old one is still there.
    page.click("#new-conversation").await;
    page.wait_for_element("#welcome", SOON).await;
    world.write("something else").await;
    world.answered(1).await;
    assert_eq!(world.answer().await, "echo: something else");
    let last = server.requests().pop().expect("a request");
    assert!(
        !last.body.to_string().contains("word1"),
        "a new conversation knows the old one"
    );
    page.wait_for(
        "document.querySelectorAll('#conversations a').length === 2",
        SOON,
    )
    .await;
    page.click("#conversations li:last-child a").await;
    page.wait_for(
        "document.querySelector('#messages').innerText.includes('word20')",
        SOON,
    )
    .await;
    world.no_errors();
}

#[tokio::test]
async fn a_crash_is_hardly_noticed() {
    let mut world = World::new("en-US").await;
    world.write("before").await;
    world.answered(1).await;
    world.house.restart().await;
    world.write("after").await;
    world.answered(2).await;
    assert_eq!(world.answer().await, "echo: after");

    // In the middle of an answer: it is made again, and there is one.
    world.server.reply_next(slow(&"half ".repeat(200)));
    world.write("in between").await;
    world
        .page
        .wait_for(
            "document.querySelector('li[data-state=live] .body')?.innerText.length > 10",
            SOON,
        )
        .await;
    world.house.restart().await;
    world.answered(3).await;
    assert_eq!(world.answer().await, "echo: in between");
    world.page.reload().await;
    world.answered(3).await;
    assert_eq!(world.count("#messages li[data-role=user]").await, 3);
    let text: String = world
        .page
        .eval("document.querySelector('#messages').innerText")
        .await;
    assert!(!text.contains("half half"), "{text}");

    // What is written while nobody is there arrives once somebody is.
    world.house.kill9().await;
    world.write("is anybody there?").await;
    world.page.wait_for_element("#banner", SOON).await;
    world.house.launch();
    world.answered(4).await;
    assert_eq!(world.answer().await, "echo: is anybody there?");
    world
        .page
        .wait_for("document.querySelector('#banner').hidden", SOON)
        .await;
}

#[tokio::test]
async fn it_looks_right_by_day_by_night_on_phones_and_in_chinese() {
    let pictures = Pictures::new();
    let world = World::new("en-US").await;
    let World { server, page, .. } = &world;
    pictures.take(page, "welcome-light").await;
    server.reply_next(Script::say(RICH));
    world
        .write("Show me everything you can, with a code block, a table and a quotation.")
        .await;
    world.answered(1).await;
    let background = "getComputedStyle(document.body).backgroundColor";
    let sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let mut backgrounds = Vec::new();
    for (name, width, height) in [
        ("wide", 1280, 900),
        ("tablet", 800, 1000),
        ("phone", 360, 740),
    ] {
        page.set_size(width, height).await;
        for scheme in ["light", "dark"] {
            page.prefer_scheme(scheme).await;
            let dark = format!(
                "matchMedia('(prefers-color-scheme: {scheme})').matches && innerWidth === {width}"
            );
            page.wait_for(&dark, SOON).await;
            let wider: i64 = page.eval(sideways).await;
            assert_eq!(wider, 0, "{name} scrolls sideways");
            assert_eq!(page.eval::<i64>("document.querySelector('#scroller').scrollWidth - document.querySelector('#scroller').clientWidth").await, 0, "{name}: the talk scrolls sideways");
            backgrounds.push(page.eval::<String>(background).await);
            pictures.take(page, &format!("talk-{name}-{scheme}")).await;
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is as bright as light");
    page.prefer_scheme("light").await;
    page.click("#open-sidebar").await;
    page.wait_for(
        "document.querySelector('#sidebar').getBoundingClientRect().left === 0",
        SOON,
    )
    .await;
    pictures.take(page, "drawer-phone").await;
    world.no_errors();

    let chinese = World::new("zh-CN").await;
    let page = &chinese.page;
    assert_eq!(
        page.eval::<String>("document.documentElement.lang.slice(0, 2)")
            .await,
        "zh"
    );
    pictures.take(page, "welcome-zh").await;
    chinese.write("/help").await;
    chinese.answered(1).await;
    let help = chinese.answer().await;
    assert!(help.contains("重新开始"), "{help}");
    chinese.server.reply_next(Script::say(
        "**你好！** 这是一个关于茶话会的回答，它足够长，可以看看中文段落是怎样换行的。",
    ));
    chinese.write("你好").await;
    chinese.answered(2).await;
    pictures.take(page, "talk-zh").await;
    let english: String = page.eval("[...document.querySelectorAll('#sidebar, #main header, .dock')].map((e) => e.innerText).join(' ')").await;
    assert!(
        !english.contains("New conversation") && !english.contains("Answers are"),
        "{english}"
    );
    chinese.no_errors();
    drop(chinese.browser);
}

#[tokio::test]
async fn what_a_model_says_cannot_act() {
    let world = World::new("en-US").await;
    let World {
        server,
        page,
        house,
        ..
    } = &world;
    let answer = client()
        .get(house.base_url())
        .send()
        .await
        .expect("the page");
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let attack = "<script>window.pwned = 1</script>\n\n<img src=x onerror=\"window.pwned = 2\">\n\n\
        inline <img src=x onerror=window.pwned=3> and <svg/onload=window.pwned=4>\n\n\
        [a](javascript:window.pwned=5) [b](JaVaScRiPt:window.pwned=6) [c](data:text/html,<script>1</script>) \
        [d](java&#10;script:window.pwned=7) <javascript:window.pwned=8>\n\n\
        ![p](javascript:window.pwned=9) ![q](https://example.org/leak?secret)\n\n\
        ```html\n<script>window.pwned = 10</script>\n```\n\n<iframe src=\"javascript:parent.pwned=11\"></iframe>";
    server.reply_with(move |_| Script::say(attack));
    world
        .write("<img src=x onerror=\"window.pwned = 12\">")
        .await;
    world.answered(1).await;
    let shown = world.answer().await;
    for part in [
        "<script>window.pwned = 1</script>",
        "<img src=x onerror=\"window.pwned = 2\">",
        "<svg/onload",
    ] {
        assert!(shown.contains(part), "{part} is not shown as text: {shown}");
    }
    for _ in 0..2 {
        assert_eq!(
            world
                .count("#messages script, #messages img, #messages svg[onload], #messages iframe")
                .await,
            0
        );
        let links: Vec<String> = page
            .eval("[...document.querySelectorAll('#messages a')].map((a) => a.protocol)")
            .await;
        assert!(
            links
                .iter()
                .all(|one| ["http:", "https:", "mailto:"].contains(&one.as_str())),
            "{links:?}"
        );
        assert!(page.eval::<bool>("window.pwned === undefined").await);
        page.reload().await;
        world.answered(1).await;
    }
    // The title of the conversation is what the person wrote.
    page.wait_for(
        "document.querySelector('#conversations a')?.innerText.includes('<img')",
        SOON,
    )
    .await;
    world.no_errors();
}
