// Puts the page together: which conversation is open, what the keys do, where the scroll stands.

import * as api from "./api.js";
import { read, uuid, write } from "./store.js";
import { Talk } from "./talk.js";
import { preferred, speak, texts } from "./texts.js";
import { icon, make, Messages } from "./view.js";

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const composer = $("composer");
const scroller = $("scroller");
const mac = /mac|iphone|ipad/i.test(navigator.platform);
const touch = matchMedia("(pointer: coarse)");
const textMax = 64 * 1024;

let talk = null;
let listed = [];
let commands = [];
let stuck = true;

// === the parts ===

const outbox = new api.Outbox({
  sent(entry, again) {
    calm();
    if (talk?.chat === entry.chat) talk.sent(entry, again);
    if (!stream.chat && talk?.chat === entry.chat) stream.open(entry.chat);
  },
  delayed(entry) {
    worry();
    if (talk?.chat === entry.chat) talk.delayed(entry);
  },
  refused(entry, problem) {
    if (talk?.chat === entry.chat) talk.refused(entry, problem);
    else toast(problem.message);
  },
});

const stream = new api.Stream({
  up() { calm(); outbox.flush(); },
  down() { worry(); },
  hello: () => talk.hello(),
  resync: () => talk.resync(),
  changed: (what) => talk.changedElsewhere(what),
  preview: (what) => talk.preview(what),
  message: (what) => talk.message(what),
});

const messages = new Messages($("messages"), {
  async press(item, action) {
    if (action === "retry") stuck = true;
    await talk.press(item.turn, action).catch(() => toast(texts.notDone));
  },
  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      toast(texts.copyFailed);
      return false;
    }
  },
  again: (item) => talk.again(item.key),
});

// === which conversation ===

function open(chat) {
  if (talk?.chat === chat) return;
  keepDraft();
  talk?.close();
  messages.clear();
  stuck = true;
  write("last", chat);
  talk = new Talk(chat, outbox, {
    changed: draw,
    answered: announce,
    lost: worry,
  });
  composer.value = read(`draft.${chat}`) ?? "";
  fit();
  stream.open(chat);
  // The stream's greeting asks for the history too; a stream that cannot be had must not hide it.
  talk.read();
  draw();
  closeDrawer();
  if (!touch.matches) composer.focus();
}

function route() {
  const chat = location.hash.slice(1);
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(chat)) open(chat);
  else {
    const last = read("last") ?? uuid();
    history.replaceState(null, "", `#${last}`);
    open(last);
  }
}

function startAnew() {
  closeDrawer();
  if (talk?.isEmpty && talk.loaded) composer.focus();
  else location.hash = uuid();
}

function keepDraft() {
  if (talk) write(`draft.${talk.chat}`, composer.value);
}

async function list() {
  try {
    listed = (await api.conversations()).conversations;
    drawList();
  } catch { /* asked again when the connection is back */ }
}

// === drawing ===

function draw() {
  const items = talk.items();
  messages.draw(items);
  $("welcome").hidden = items.length > 0 || !talk.loaded;
  $("stop").hidden = !talk.busy;
  $("stop").disabled = talk.stopping;
  drawButtons();
  drawTitle();
  if (stuck) toEnd();
}

function drawButtons() {
  const empty = !composer.value.trim();
  $("send").disabled = empty;
  // While an answer is being made the one button stops it, unless there is something to send.
  $("send").hidden = empty && !$("stop").hidden;
}

function drawTitle() {
  const chat = listed.find((one) => one.chat === talk?.chat);
  const title = chat?.title || texts.untitled;
  $("title").textContent = title;
  document.title = chat?.title ? `${chat.title} · Tertulia` : "Tertulia";
}

function drawList() {
  const now = new Date();
  const age = (at) => {
    const days = (startOfDay(now) - startOfDay(new Date(at))) / 86_400_000;
    return days < 1 ? "today" : days < 2 ? "yesterday" : days < 7 ? "week" : "earlier";
  };
  const groups = Map.groupBy ? Map.groupBy(listed, (one) => age(one.updated)) : group(listed, age);
  const parts = [...groups].flatMap(([name, chats]) => {
    const links = chats.map(({ chat, title }) => make("li", {}, make("a", {
      href: `#${chat}`, title, "aria-current": chat === talk?.chat ? "page" : null,
    }, title || texts.untitled)));
    return [make("h2", {}, texts[name]), make("ul", {}, ...links)];
  });
  if (!parts.length) parts.push(make("p", {}, texts.empty));
  $("conversations").replaceChildren(...parts);
  if (talk) drawTitle();
}

function group(list, by) {
  const groups = new Map();
  for (const one of list) groups.set(by(one), [...(groups.get(by(one)) ?? []), one]);
  return groups;
}

function startOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** Puts the present language on everything that stands in the page itself. */
function drawTexts() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.dataset.label]);
    if (element.matches("button")) element.title = texts[element.dataset.label];
  }
  composer.placeholder = texts.placeholder;
  composer.setAttribute("aria-label", texts.composer);
  $("language").textContent = texts.other;
  $("language").setAttribute("aria-label", texts.otherLabel);
  $("new-key").textContent = mac ? "⌘K" : "Ctrl K";
  $("suggestions").replaceChildren(...texts.suggestions.map(([text, why]) => {
    const button = make("button", { type: "button" }, make("small", {}, why), make("span", {}, text));
    button.onclick = () => say(text);
    return make("li", {}, button);
  }));
  drawTheme();
}

function drawTheme() {
  const theme = root.dataset.theme ?? "auto";
  $("theme").replaceChildren(icon(theme), make("span", {}, texts.theme[theme]));
  $("theme").setAttribute("aria-label", texts.themeLabel.replace("{theme}", texts.theme[theme]));
}

/** Reads an answer out to those who listen to the page: once, when it is complete. */
function announce(message) {
  const body = make("div");
  body.innerHTML = message.html;
  $("announcer").textContent = `${texts.us}: ${body.textContent}`;
  setTimeout(list, 300);
}

// === trouble ===

let worrying;

function worry() {
  worrying ??= setTimeout(() => {
    $("banner").textContent = texts.offline;
    $("banner").hidden = false;
  }, 1500);
}

function calm() {
  clearTimeout(worrying);
  worrying = undefined;
  if (!$("banner").hidden) list();
  $("banner").hidden = true;
}

let toasting;

function toast(text) {
  clearTimeout(toasting);
  $("toast").textContent = text;
  $("toast").hidden = false;
  toasting = setTimeout(() => { $("toast").hidden = true; }, 5000);
}

// === writing ===

/** Says it, if it is not too long to be taken. */
function say(text) {
  if (new TextEncoder().encode(text).length > textMax) {
    toast(texts.tooLong);
    return false;
  }
  stuck = true;
  $("announcer").textContent = texts.answering;
  talk.say(text);
  const known = listed.find((one) => one.chat === talk.chat);
  const updated = new Date().toISOString();
  const chat = { chat: talk.chat, title: known?.title || text.slice(0, 200), updated };
  listed = [chat, ...listed.filter((one) => one.chat !== talk.chat)];
  drawList();
  return true;
}

function send() {
  const text = composer.value.trim();
  if (!text || !say(text)) return;
  composer.value = "";
  keepDraft();
  fit();
  hint();
  drawButtons();
  composer.focus();
}

function fit() {
  composer.style.height = "auto";
  composer.style.height = `${composer.scrollHeight}px`;
  if (stuck) toEnd();
}

// === commands that are suggested while they are typed ===

let offered = [];
let chosen = 0;

function hint() {
  const typed = composer.value.match(/^\/(\w*)$/)?.[1].toLowerCase();
  offered = typed === undefined ? [] : commands.filter(({ name }) => name.startsWith(typed));
  chosen = 0;
  drawHints();
}

function drawHints() {
  const hints = $("hints");
  hints.hidden = !offered.length;
  hints.replaceChildren(...offered.map(({ name, description }, n) => {
    const option = make("li", { id: `hint-${n}`, role: "option", "aria-selected": String(n === chosen) },
      make("b", {}, `/${name}`), make("span", {}, description));
    option.onmousedown = (event) => { event.preventDefault(); take(n); };
    return option;
  }));
  if (offered.length) {
    composer.setAttribute("aria-activedescendant", `hint-${chosen}`);
    $(`hint-${chosen}`).scrollIntoView({ block: "nearest" });
  } else {
    composer.removeAttribute("aria-activedescendant");
  }
}

function take(n) {
  composer.value = `/${offered[n].name} `;
  offered = [];
  drawHints();
  drawButtons();
  composer.focus();
}

function hintKey(event) {
  if (!offered.length) return false;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const step = event.key === "ArrowDown" ? 1 : offered.length - 1;
    chosen = (chosen + step) % offered.length;
    drawHints();
  } else if (event.key === "Escape") {
    offered = [];
    drawHints();
  } else if (event.key === "Tab" || (event.key === "Enter" && composer.value !== `/${offered[chosen].name}`)) {
    take(chosen);
  } else {
    return false;
  }
  event.preventDefault();
  event.stopPropagation();
  return true;
}

// === scrolling ===

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  $("jump").hidden = true;
}

function atEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 64;
}

scroller.addEventListener("scroll", async () => {
  stuck = atEnd();
  $("jump").hidden = stuck;
  if (scroller.scrollTop < 240 && talk?.more && !talk.readingOlder) {
    const asked = talk;
    const before = scroller.scrollHeight - scroller.scrollTop;
    await talk.readOlder();
    if (talk === asked) scroller.scrollTop = scroller.scrollHeight - before;
  }
}, { passive: true });

new ResizeObserver(() => { if (stuck) toEnd(); }).observe(scroller);

// === the drawer of small screens ===

function openDrawer() {
  root.classList.add("drawer");
  $("scrim").hidden = false;
  $("main").inert = true;
  $("open-sidebar").setAttribute("aria-expanded", "true");
  $("close-sidebar").focus();
}

function closeDrawer() {
  if (!root.classList.contains("drawer")) return false;
  root.classList.remove("drawer");
  $("scrim").hidden = true;
  $("main").inert = false;
  $("open-sidebar").setAttribute("aria-expanded", "false");
  $("open-sidebar").focus();
  return true;
}

// === what the person touches ===

$("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("stop").addEventListener("click", () => stop());
$("new-conversation").addEventListener("click", startAnew);
$("new-here").addEventListener("click", startAnew);
$("open-sidebar").addEventListener("click", openDrawer);
$("close-sidebar").addEventListener("click", closeDrawer);
$("scrim").addEventListener("click", closeDrawer);
$("jump").addEventListener("click", () => { stuck = true; toEnd(); });
$("language").addEventListener("click", () => {
  const tag = texts.tag === "zh" ? "en" : "zh";
  write("language", tag);
  setLanguage(tag);
});
$("theme").addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" }[root.dataset.theme ?? "auto"];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  // Read by a script that knows nothing of the store, so it is kept as it is.
  try { localStorage.setItem("tertulia.theme", next); } catch { /* for this visit only */ }
  drawTheme();
});

composer.addEventListener("input", () => { fit(); hint(); drawButtons(); keepDraft(); });
composer.addEventListener("blur", () => { offered = []; drawHints(); });
composer.addEventListener("keydown", (event) => {
  // While an input method composes, Enter belongs to it.
  if (event.isComposing || event.keyCode === 229 || hintKey(event)) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send();
  }
});
addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape") {
    if (!closeDrawer()) stop();
  } else if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    startAnew();
  }
});
addEventListener("hashchange", () => { route(); drawList(); });
addEventListener("online", () => { stream.hurry(); outbox.flush(); });
addEventListener("offline", worry);
addEventListener("pagehide", keepDraft);
document.addEventListener("visibilitychange", () => {
  // Browsers allow few connections to one house: a tab that nobody sees does without.
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => { if (!talk.busy) stream.close(); }, 60_000);
  } else if (!stream.chat) {
    stream.open(talk.chat);
    list();
  } else {
    stream.hurry();
  }
});
let resting;

function stop() {
  talk.stop().catch(() => toast(texts.notDone));
}

// === the beginning ===

async function setLanguage(tag) {
  speak(tag);
  drawTexts();
  drawList();
  if (talk) {
    messages.clear();
    draw();
  }
  await meet();
}

/** Learns who we are, as often as it takes. */
async function meet() {
  for (let delay = 500; ; delay = Math.min(delay * 2, 8000)) {
    try {
      ({ commands } = await api.me());
      return;
    } catch {
      worry();
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

await setLanguage(preferred(read("language")));
route();
await list();
drawList();
outbox.flush();
