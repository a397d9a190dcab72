// Talks to the house: requests, the stream of events, and the outbox.

import { read, uuid, write } from "./store.js";
import { texts } from "./texts.js";

const base = "/chat/v1/";
const patience = 20_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A request that was refused, or (status 0) that found nobody. */
export class Problem extends Error {
  constructor(status, detail, after = 0) {
    super(detail);
    this.status = status;
    this.after = after;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export const me = () => ask("me");
export const conversations = () => request("conversations");
export const messages = (chat, before) =>
  request(`conversations/${chat}/messages${before ? `?before=${before}` : ""}`);

/** Presses a button; a press that may not have arrived is repeated under the same name. */
export async function press(chat, turn, action) {
  const body = { id: uuid(), turn, action };
  for (let attempt = 1; ; attempt++) {
    try {
      return await request(`conversations/${chat}/press`, body);
    } catch (problem) {
      if (!problem.passing || attempt >= 5) throw problem;
      await pause(Math.max(problem.after, 300 * attempt));
    }
  }
}

async function request(path, body) {
  try {
    return await ask(path, body);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    await me();
    return ask(path, body);
  }
}

async function ask(path, body) {
  const options = { headers: { "Accept-Language": texts.tag }, signal: AbortSignal.timeout(patience) };
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(base + path, options);
    if (response.ok) return await response.json();
  } catch (error) {
    throw new Problem(0, String(error));
  }
  const problem = await response.json().catch(() => ({}));
  const after = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  throw new Problem(response.status, problem.detail ?? response.statusText, after);
}

/**
 * The messages that are on their way, kept until the house has committed them.
 *
 * They go out one by one, in order, and as often as it takes, always under the same id: the house
 * takes each once.
 */
export class Outbox {
  /** `on` has `sent(entry, again)`, `refused(entry, problem)` and `delayed(entry)`. */
  constructor(on) {
    this.on = on;
    this.running = false;
    this.wake = () => {};
  }

  /** What waits for acknowledgement in a chat. */
  of(chat) {
    return this.entries().filter((entry) => entry.chat === chat);
  }

  add(chat, text) {
    const entry = { id: uuid(), chat, text, at: new Date().toISOString() };
    this.memory = [...this.entries(), entry];
    this.keep();
    this.flush();
    return entry;
  }

  /** Sends what waits; returns at once if that is being done. */
  async flush() {
    this.wake();
    if (this.running) return;
    this.running = true;
    const tried = new Set();
    let delay = 500;
    for (let entry; (entry = this.entries()[0]); ) {
      try {
        const { id, text } = entry;
        const again = tried.has(id) || entry.tried;
        tried.add(id);
        this.mark(id);
        await request(`conversations/${entry.chat}/messages`, { id, text });
        this.remove(id);
        this.on.sent(entry, again);
        delay = 500;
      } catch (problem) {
        if (problem.passing) {
          this.on.delayed(entry);
          const woken = new Promise((resolve) => { this.wake = resolve; });
          await Promise.race([pause(Math.max(delay, problem.after)), woken]);
          delay = Math.min(delay * 2, 10_000);
        } else {
          this.remove(entry.id);
          this.on.refused(entry, problem);
        }
      }
    }
    this.running = false;
  }

  entries() {
    // Other tabs add and remove too, so storage is the truth where there is one.
    return read("outbox") ?? this.memory ?? [];
  }

  /** Notes that the house may have it already. */
  mark(id) {
    this.memory = this.entries().map((entry) => (entry.id === id ? { ...entry, tried: true } : entry));
    this.keep();
  }

  remove(id) {
    this.memory = this.entries().filter((entry) => entry.id !== id);
    this.keep();
  }

  keep() {
    write("outbox", this.memory.length ? this.memory : null);
  }
}

/** What happens in one chat; reconnects until it is closed. */
export class Stream {
  /** `on` has a function for each event, `up()` and `down()`. */
  constructor(on) {
    this.on = on;
    this.chat = null;
    this.delay = 500;
  }

  open(chat) {
    this.close();
    this.chat = chat;
    this.connect();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.chat = null;
  }

  /** Does not wait any longer. */
  hurry() {
    if (this.chat && this.source?.readyState !== EventSource.OPEN) this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(`${base}conversations/${this.chat}/events`);
    this.source = source;
    for (const name of ["hello", "preview", "message", "changed", "resync"]) {
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        if (name === "hello") {
          this.delay = 500;
          this.on.up();
        }
        this.on[name](JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      if (source !== this.source) return;
      this.on.down();
      // The browser reconnects by itself only after a broken stream, not after a refusal.
      source.close();
      this.timer = setTimeout(() => this.connect(), this.delay);
      this.delay = Math.min(this.delay * 2, 8000);
    };
  }
}
