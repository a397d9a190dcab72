//! Debian's headless Chromium, driven over the DevTools protocol.
//!
//! Only what a page test needs: go, look, type, click, wait. Conditions are JavaScript and are
//! watched inside the page.
//!
//! Invariant: no browser process outlives its [`Browser`].

mod base64;
mod socket;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use socket::Socket;

/// A running browser.
pub struct Browser {
    child: Child,
    socket: Socket,
    language: String,
    _profile: TempDir,
}

/// One tab.
pub struct Page {
    socket: Socket,
    session: String,
}

const START: Duration = Duration::from_secs(30);

// === impl Browser ===

impl Browser {
    /// Starts a browser that speaks English.
    pub async fn start() -> Self {
        Self::start_in("en-US").await
    }

    /// Starts a browser that speaks a language such as `zh-CN`.
    ///
    /// # Panics
    ///
    /// When Chromium is missing or does not start.
    pub async fn start_in(language: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
        let log_path = profile.path().join("chromium.log");
        let log = std::fs::File::create(&log_path).expect("the folder can be written");
        let child = Command::new(&program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args([
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
            ])
            .args(["--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--lang={language}"))
            .arg(format!("--accept-lang={language}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // The browser's own children are stopped with it, by their group.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("no browser at {program}: {error}"));
        let port_file = profile.path().join("DevToolsActivePort");
        let deadline = Instant::now() + START;
        let url = loop {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n')
                && !path.is_empty()
            {
                break format!("ws://127.0.0.1:{}{}", port.trim(), path.trim());
            }
            assert!(
                Instant::now() < deadline,
                "the browser did not start:\n{}",
                std::fs::read_to_string(&log_path).unwrap_or_default()
            );
            // The file of another process can only be looked for.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let socket = Socket::connect(&url).await;
        Self {
            child,
            socket,
            language: language.to_owned(),
            _profile: profile,
        }
    }

    /// Opens an empty tab.
    pub async fn page(&self) -> Page {
        let socket = self.socket.clone();
        let target = socket
            .call("", "Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = socket.call("", "Target.attachToTarget", attach).await;
        let session = session["sessionId"]
            .as_str()
            .expect("a session id")
            .to_owned();
        let page = Page { socket, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({})).await;
        }
        page.call(
            "Emulation.setLocaleOverride",
            json!({"locale": self.language}),
        )
        .await;
        page.set_size(1280, 900).await;
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let script = format!("kill -KILL -- -{}", self.child.id());
        let _ = Command::new("sh")
            .args(["-c", &script])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Page ===

impl Page {
    async fn call(&self, method: &str, params: Value) -> Value {
        self.socket.call(&self.session, method, params).await
    }

    /// Goes to an address and waits until it is loaded.
    ///
    /// # Panics
    ///
    /// When it cannot be loaded.
    pub async fn goto(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url})).await;
        assert!(
            answer["errorText"].is_null(),
            "{url}: {}",
            answer["errorText"]
        );
        self.wait_for("document.readyState === 'complete'", START)
            .await;
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        let before = "window.__before_reload = true";
        let _: Value = self.eval(before).await;
        self.call("Page.reload", json!({})).await;
        self.wait_for(
            "!window.__before_reload && document.readyState === 'complete'",
            START,
        )
        .await;
    }

    /// The value of an expression, awaited when it is a promise.
    ///
    /// # Panics
    ///
    /// When it throws or is not of the type.
    pub async fn eval<T: DeserializeOwned>(&self, expression: &str) -> T {
        let value = self
            .evaluate(expression)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_value(value.clone())
            .unwrap_or_else(|error| panic!("{expression} is {value}: {error}"))
    }

    async fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self
            .socket
            .try_call(&self.session, "Runtime.evaluate", params)
            .await?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            return Err(format!("{expression} throws {thrown}"));
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    ///
    /// When it is not in time, with the text of the page.
    pub async fn wait_for(&self, condition: &str, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .as_millis();
            let watch = format!(
                "new Promise((done) => {{
                    const end = performance.now() + {left};
                    const look = () => {{
                        let holds = false;
                        try {{ holds = Boolean({condition}); }} catch (_) {{}}
                        if (holds || performance.now() > end) done(holds);
                        else setTimeout(look, 15);
                    }};
                    look();
                }})"
            );
            // An error here is a page that went away under the question; ask the next one.
            let answer =
                tokio::time::timeout_at(deadline + Duration::from_secs(2), self.evaluate(&watch))
                    .await;
            if matches!(answer, Ok(Ok(Value::Bool(true)))) {
                return;
            }
            if Instant::now() >= deadline {
                let text = "document.body ? document.body.innerText : ''";
                let text = tokio::time::timeout(START, self.evaluate(text)).await;
                panic!("{condition} does not hold after {timeout:?} ({answer:?}): {text:?}");
            }
        }
    }

    /// Waits for an element that is visible.
    pub async fn wait_for_element(&self, selector: &str, timeout: Duration) {
        let condition = format!(
            "document.querySelector({})?.checkVisibility()",
            json!(selector)
        );
        self.wait_for(&condition, timeout).await;
    }

    /// Types a text into an element, as one who pastes.
    pub async fn type_text(&self, selector: &str, text: &str) {
        let focus = format!("document.querySelector({}).focus()", json!(selector));
        let _: Value = self.eval(&focus).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Clicks the middle of an element with the mouse.
    ///
    /// # Panics
    ///
    /// When there is no such element, or another one lies over it.
    pub async fn click(&self, selector: &str) {
        let place = format!(
            "(() => {{
                const e = document.querySelector({selector});
                if (!e) throw new Error('no element');
                e.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const r = e.getBoundingClientRect();
                const x = r.x + r.width / 2, y = r.y + r.height / 2;
                const hit = document.elementFromPoint(x, y);
                if (!hit || !(e.contains(hit) || hit.contains(e)))
                    throw new Error('covered by ' + (hit && hit.outerHTML.slice(0, 200)));
                return [x, y];
            }})()",
            selector = json!(selector)
        );
        let (x, y): (f64, f64) = self.eval(&place).await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let (button, count) = if kind == "mouseMoved" {
                ("none", 0)
            } else {
                ("left", 1)
            };
            let event =
                json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": count});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses a key by its name, such as `Enter`, `Escape`, `Tab`, or a letter.
    pub async fn press_key(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "Backspace" => 8,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => key
                .chars()
                .next()
                .map_or(0, |c| c.to_ascii_uppercase() as u32),
        };
        let mut down =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        match key {
            "Enter" => down["text"] = json!("\r"),
            _ if key.chars().count() == 1 => down["text"] = json!(key),
            _ => {}
        }
        self.call("Input.dispatchKeyEvent", down).await;
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up).await;
    }

    /// Sets the size of the window; narrow ones count as phones.
    pub async fn set_size(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Prefers a colour scheme, `dark` or `light`.
    pub async fn prefer_scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Saves a picture of what is visible.
    pub async fn screenshot(&self, path: &Path) {
        let shot = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let bytes = base64::decode(shot["data"].as_str().unwrap_or_default());
        std::fs::write(path, bytes).expect("the picture can be written");
    }

    /// Errors that the page wrote to its console or threw, so far.
    pub fn console_errors(&self) -> Vec<String> {
        self.socket.errors(&self.session)
    }
}
