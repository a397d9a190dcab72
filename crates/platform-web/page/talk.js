// One conversation as the page knows it: what the house remembers, what happened since, what is
// being made, and what is on its way.
//
// The history is the truth. Everything that arrives in between stands in for it until the history
// is read again, so a message that is missed, doubled or out of order mends itself.

import * as api from "./api.js";
import { texts } from "./texts.js";

const reply = ["retry", "like", "dislike"];
const quietAtMost = 5000;
const retryAtMost = 180_000;

export class Talk {
  /** `on` has `changed(talk)`, `answered(message)` and `lost()`. */
  constructor(chat, outbox, on) {
    this.chat = chat;
    this.on = on;
    this.outbox = outbox;
    this.loaded = false;
    /** What the house remembers, oldest first, and whether there is more before it. */
    this.history = [];
    this.more = false;
    /** What happened since the history was read: own messages and arrived ones. */
    this.tail = outbox.of(chat).map((entry) => own(entry, false));
    /** The answer that is being made: `{turn, html}`. */
    this.live = null;
    /** Turns without end, as the history says. */
    this.open = [];
    /** Answers to come beyond those. */
    this.expected = 0;
    /** Answers that came before the house had acknowledged the message. */
    this.early = 0;
    this.retryUntil = 0;
    this.judgements = new Map();
    this.stopping = false;
    this.closed = false;
    /** Counts the reads of the history. */
    this.reading = 0;
  }

  close() {
    this.closed = true;
    clearTimeout(this.watch);
  }

  /** Whether an answer is to come. */
  get busy() {
    return Boolean(this.live) || this.open.length > 0 || this.expected > 0;
  }

  get isEmpty() {
    return !this.history.length && !this.tail.length && !this.live;
  }

  // === what the person does ===

  say(text) {
    const entry = this.outbox.add(this.chat, text);
    this.tail.push(own(entry, true));
    this.changed();
  }

  async stop() {
    if (!this.busy || this.stopping) return;
    this.stopping = true;
    this.changed();
    if (!this.turnToStop) await this.read();
    const turn = this.turnToStop;
    try {
      if (turn) await api.press(this.chat, turn, "stop");
      this.look(1500);
    } finally {
      setTimeout(() => { this.stopping = false; this.changed(); }, turn ? 1500 : 0);
    }
  }

  get turnToStop() {
    return this.live?.turn ?? this.open[0];
  }

  async press(turn, action) {
    const before = this.judgements.get(turn);
    if (action === "retry") {
      this.expected += 1;
      this.retryUntil = Date.now() + retryAtMost;
    } else {
      this.judgements.set(turn, action === "like" ? "good" : "bad");
    }
    this.changed();
    try {
      await api.press(this.chat, turn, action);
    } catch (problem) {
      if (action === "retry") this.forgetRetry();
      else if (before) this.judgements.set(turn, before);
      else this.judgements.delete(turn);
      this.changed();
      throw problem;
    }
  }

  forgetRetry() {
    this.retryUntil = 0;
    this.expected = Math.max(0, this.expected - 1);
  }

  // === what becomes of what was said ===

  sent(entry, again) {
    const item = this.find(entry);
    if (!item) return;
    item.sending = false;
    item.trouble = false;
    item.read = this.reading;
    if (this.early) this.early -= 1;
    else this.expected += 1;
    this.changed();
    // It may have been taken the first time, and be in the history already.
    if (again) this.read();
  }

  delayed(entry) {
    const item = this.find(entry);
    if (!item || item.trouble) return;
    item.trouble = true;
    this.changed();
  }

  refused(entry, problem) {
    const item = this.find(entry);
    if (!item) return;
    item.sending = false;
    item.refused = problem.message;
    this.changed();
  }

  again(key) {
    const item = this.tail.find((one) => one.key === key);
    this.tail = this.tail.filter((one) => one !== item);
    if (item) this.say(item.text);
  }

  find(entry) {
    return this.tail.find((item) => item.id === entry.id);
  }

  // === what the stream tells ===

  hello() {
    this.read();
  }

  resync() {
    this.read();
  }

  changedElsewhere({ id }) {
    if (!this.find({ id })) this.read();
  }

  preview({ turn, html }) {
    if (this.answered(turn)) return;
    this.live = { turn, html };
    this.changed();
  }

  message(message) {
    const { turn, delivery } = message;
    if (this.live && Number(this.live.turn) <= Number(turn)) this.live = null;
    if (this.tail.some((item) => item.delivery === delivery)) return this.changed();
    const nth = this.ours(turn);
    this.tail.push({
      key: key(turn, nth), role: "assistant", kind: message.buttons.length ? "reply" : "notice",
      turn, delivery, text: message.text, html: message.html, at: message.at, buttons: message.buttons,
      fresh: true,
    });
    if (this.open.includes(turn)) this.open = this.open.filter((one) => one !== turn);
    else if (!nth && this.expected) this.expected -= 1;
    else if (!nth && this.tail.some((item) => item.sending)) this.early += 1;
    this.retryUntil = 0;
    this.on.answered(message);
    this.changed();
    if (this.busy && !this.live) this.look(1500);
  }

  answered(turn) {
    return this.ours(turn) > 0;
  }

  /** How many messages of ours there are for a turn. */
  ours(turn) {
    const of = (list) => list.filter((item) => item.role === "assistant" && item.turn === turn).length;
    return of(this.history) + of(this.tail);
  }

  // === the history ===

  /** Reads the latest part of the history. */
  async read() {
    const reading = ++this.reading;
    let page;
    try {
      page = await api.messages(this.chat);
    } catch {
      this.on.lost();
      this.look(3000);
      return;
    }
    if (this.closed || reading !== this.reading) return;
    const first = Number(page.messages[0]?.id ?? 0);
    const older = first ? this.history.filter((item) => Number(item.id) < first) : [];
    if (!older.length) this.more = page.more;
    this.history = [...older, ...page.messages];
    this.tail = this.tail.filter((item) => this.isNews(item, page.messages, reading));
    this.settle();
    this.loaded = true;
    this.changed();
  }

  /** Reads what was before. */
  async readOlder() {
    const before = this.history[0]?.id;
    if (!this.more || !before || this.readingOlder) return;
    this.readingOlder = true;
    try {
      const page = await api.messages(this.chat, before);
      if (this.closed || this.history[0]?.id !== before) return;
      this.more = page.more;
      this.history = [...page.messages, ...this.history];
      this.changed();
    } catch {
      this.on.lost();
    } finally {
      this.readingOlder = false;
    }
  }

  /** Whether the history does not hold it yet. */
  isNews(item, messages, reading) {
    if (item.role === "user") return item.sending || item.refused || item.read >= reading;
    if (messages.some((one) => one.role === "assistant" && one.turn === item.turn)) return false;
    return !messages.some((one) => one.at > item.at);
  }

  /** Works out from the history what is still to come. */
  settle() {
    const turns = this.history.filter((item) => item.state === "queued" || item.state === "running");
    this.open = [...new Set(turns.map((item) => item.turn))].filter((turn) => !this.answered(turn));
    const retrying = this.retryUntil > Date.now() ? 1 : 0;
    this.expected = this.tail.filter((item) => item.role === "user" && !item.sending && !item.refused).length + retrying;
    const over = this.live && this.history.some((item) => item.turn === this.live.turn
      && (item.role === "assistant" || !["queued", "running"].includes(item.state)));
    if (over) this.live = null;
  }

  changed() {
    if (this.closed) return;
    this.on.changed(this);
    if (this.busy) this.look(quietAtMost);
    else clearTimeout(this.watch);
  }

  /** Reads again if nothing happens for a while. */
  look(ms) {
    clearTimeout(this.watch);
    if (!this.closed) this.watch = setTimeout(() => this.read(), ms);
  }

  // === what is shown ===

  items() {
    const items = [];
    const nth = new Map();
    for (const item of this.history) {
      if (item.role === "assistant") {
        const n = nth.get(item.turn) ?? 0;
        nth.set(item.turn, n + 1);
        const key_ = item.turn === null ? `h${item.id}` : key(item.turn, n);
        items.push({ ...shown(item), key: key_, html: item.html, buttons: item.kind === "reply" ? reply : [], judgement: item.judgement });
      } else {
        const stopped = item.state === "cancelled" && !this.answered(item.turn);
        items.push({ ...shown(item), key: `h${item.id}`, note: stopped ? texts.cancelled : undefined });
      }
    }
    items.push(...this.tail.map((item) => ({ ...item })));
    const last = items.findLastIndex((item) => item.buttons?.includes("retry"));
    for (const [n, item] of items.entries()) {
      if (!item.buttons) continue;
      item.judgement = this.judgements.get(item.turn) ?? item.judgement;
      if (n !== last || this.busy) item.buttons = item.buttons.filter((name) => name !== "retry");
    }
    if (this.busy) {
      const { turn = null, html = null } = this.live ?? {};
      items.push({ key: turn ? key(turn, 0) : "next", role: "assistant", kind: "reply", turn, html, live: true, fresh: !turn });
    }
    return items;
  }
}

/** The key of the nth message of ours for a turn: the preview becomes the message. */
function key(turn, nth) {
  return nth ? `r${turn}-${nth}` : `r${turn}`;
}

function shown({ role, kind, text, turn, at }) {
  return { role, kind, text, turn, at };
}

function own(entry, fresh) {
  const kind = /^\/\w/.test(entry.text) ? "command" : "prompt";
  return { key: `o${entry.id}`, id: entry.id, role: "user", kind, text: entry.text, at: entry.at, sending: true, fresh };
}
