// Draws messages: a list of items with keys becomes a list of elements, touching only what changed.

import { texts } from "./texts.js";

const svg = "http://www.w3.org/2000/svg";

/** An icon from the page's sprite. */
export function icon(name) {
  const element = document.createElementNS(svg, "svg");
  const use = document.createElementNS(svg, "use");
  use.setAttribute("href", `#i-${name}`);
  element.setAttribute("aria-hidden", "true");
  element.append(use);
  return element;
}

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { data, ...rest } = properties;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The list of messages.
 *
 * An item is `{key, role, kind, text, html, at, turn, live, sending, trouble, refused, note,
 * buttons, judgement, fresh}`; html null on a live one means that there is nothing but thought.
 */
export class Messages {
  /** `on` has `press(item, action)`, `copy(text)` and `again(item)`. */
  constructor(list, on) {
    this.list = list;
    this.on = on;
    this.drawn = new Map();
  }

  clear() {
    this.list.replaceChildren();
    this.drawn.clear();
  }

  draw(items) {
    const keys = new Set(items.map((item) => item.key));
    for (const [key, { element }] of this.drawn) {
      if (keys.has(key)) continue;
      element.remove();
      this.drawn.delete(key);
    }
    let next = this.list.firstElementChild;
    for (const item of items) {
      const element = this.element(item);
      if (element === next) next = next.nextElementSibling;
      else this.list.insertBefore(element, next);
    }
  }

  element(item) {
    const { fresh, ...lasting } = item;
    const print = JSON.stringify(lasting);
    let drawn = this.drawn.get(item.key);
    if (drawn?.print === print) return drawn.element;
    if (!drawn) {
      const element = make("li", { className: fresh ? "message fresh" : "message", id: `m-${item.key}` });
      drawn = { element, who: make("span", { className: "unseen" }), body: make("div", { className: "body", dir: "auto" }), meta: make("div", { className: "meta" }) };
      element.append(drawn.who, drawn.body, drawn.meta);
      this.drawn.set(item.key, drawn);
    }
    drawn.print = print;
    this.fill(drawn, item);
    return drawn.element;
  }

  fill({ element, who, body, meta }, item) {
    const ours = item.role === "assistant";
    for (const name of ["role", "kind", "turn"]) set(element, name, item[name]);
    set(element, "sending", item.sending ? "" : null);
    set(element, "state", item.live ? "live" : item.refused ? "refused" : "done");
    element.classList.toggle("live", Boolean(item.live));
    element.setAttribute("aria-busy", String(Boolean(item.live)));
    who.textContent = ours ? `${texts.us}: ` : `${texts.you}: `;
    if (!ours) body.textContent = item.text;
    else if (item.html === null) this.dots(body);
    else this.morph(body, item.html);
    const parts = item.live ? [] : ours ? this.actions(item) : this.progress(item);
    meta.replaceChildren(...parts);
  }

  dots(body) {
    if (body.firstChild?.className === "dots") return;
    const dots = make("span", { className: "dots", title: texts.thinking }, make("i"), make("i"), make("i"));
    body.replaceChildren(dots);
    body.sources = ["dots"];
  }

  /** Puts new HTML in, leaving alone the blocks at the start that are as they were. */
  morph(body, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const nodes = [...template.content.childNodes];
    const sources = nodes.map((node) => node.outerHTML ?? node.textContent);
    const before = body.sources ?? [];
    let same = 0;
    while (same < before.length && before[same] === sources[same]) same++;
    while (body.childNodes.length > same) body.lastChild.remove();
    for (const node of nodes.slice(same)) body.append(this.dress(node));
    body.sources = sources;
  }

  /** Gives code a bar with a copy button, tables room to scroll, and links a tab of their own. */
  dress(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return node;
    const shell = make("div", {}, node);
    for (const pre of shell.querySelectorAll("pre")) {
      const language = pre.querySelector("code")?.className.match(/language-(\S+)/)?.[1];
      const copy = make("button", { type: "button" }, icon("copy"), texts.copy);
      copy.onclick = () => this.copy(copy, pre.textContent, (done) => [icon(done ? "done" : "copy"), done ? texts.copied : texts.copy]);
      const box = make("div", { className: "code" });
      pre.replaceWith(box);
      pre.tabIndex = 0;
      box.append(make("div", { className: "bar" }, make("span", {}, language ?? texts.code), copy), pre);
    }
    for (const table of shell.querySelectorAll("table")) {
      const box = make("div", { className: "table", tabIndex: 0 });
      table.replaceWith(box);
      box.append(table);
    }
    for (const link of shell.querySelectorAll("a[href]")) {
      link.target = "_blank";
      link.rel = "noopener noreferrer nofollow";
    }
    return shell.firstChild;
  }

  actions(item) {
    const button = (name, label, act, pressed) => {
      const element = make("button", { type: "button", title: label, "aria-label": label, data: { action: name } }, icon(name));
      if (pressed !== undefined) element.setAttribute("aria-pressed", String(pressed));
      element.onclick = () => act(element);
      return element;
    };
    const has = (name) => item.buttons?.includes(name);
    const press = (name) => () => this.on.press(item, name);
    return [
      button("copy", texts.copy, (element) => this.copy(element, item.text, (done) => [icon(done ? "done" : "copy")])),
      has("like") ? button("like", texts.like, press("like"), item.judgement === "good") : null,
      has("dislike") ? button("dislike", texts.dislike, press("dislike"), item.judgement === "bad") : null,
      has("retry") ? button("retry", texts.retry, press("retry")) : null,
      this.time(item.at),
    ].filter(Boolean);
  }

  progress(item) {
    const parts = [];
    if (item.refused) {
      const again = make("button", { type: "button", className: "words" }, texts.again);
      again.onclick = () => this.on.again(item);
      parts.push(make("span", { className: "trouble" }, `${texts.failed}: ${item.refused}`), again);
    } else if (item.sending) {
      parts.push(make("span", {}, item.trouble ? texts.waiting : texts.sending));
    } else {
      if (item.note) parts.push(make("span", {}, item.note));
      parts.push(this.time(item.at));
    }
    return parts;
  }

  time(at) {
    const date = new Date(at);
    const today = date.toDateString() === new Date().toDateString();
    const form = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
    const shown = new Intl.DateTimeFormat(texts.tag, form).format(date);
    const full = new Intl.DateTimeFormat(texts.tag, { dateStyle: "full", timeStyle: "medium" }).format(date);
    return make("time", { dateTime: at, title: full }, shown);
  }

  async copy(button, text, look) {
    if (!(await this.on.copy(text))) return;
    button.replaceChildren(...look(true));
    setTimeout(() => button.replaceChildren(...look(false)), 1600);
  }
}

function set(element, name, value) {
  if (value === null || value === undefined) delete element.dataset[name];
  else if (element.dataset[name] !== value) element.dataset[name] = value;
}
