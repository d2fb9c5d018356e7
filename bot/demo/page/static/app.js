// The workspace: draws each snapshot that the server sends, and tells it what is pressed.
// Only what changed is drawn anew, so that nobody loses their place, their focus or half a sentence.

import { draw } from "./kit.js";
import { el, mrkdwn, shortNames, useEmoji } from "./markup.js";
import { openMenu } from "./menu.js";
import { drawModal, useModal } from "./modal.js";

const $ = (id) => document.getElementById(id);
const HOME = "home";
const state = { me: sessionStorage.getItem("me") ?? "", place: null, thread: null, snapshot: null };
let stream = null;

// The line to the server

async function tell(deed) {
  hush();
  try {
    const answer = await fetch("do", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ as: state.snapshot.me.id, ...deed }),
    });
    if (answer.ok) return true;
    say((await answer.json()).error);
  } catch {
    say("The demo does not answer. Is it still running in the terminal?");
  }
  return false;
}

function listen() {
  stream?.close();
  stream = new EventSource(`changes?as=${encodeURIComponent(state.me)}`);
  stream.onmessage = (event) => {
    if (held) waiting = event.data;
    else show(JSON.parse(event.data));
  };
  stream.onerror = () => { $("link").textContent = "✕ The demo has ended, or cannot be reached"; };
}

// While a button is held down nothing is drawn: a button that is replaced under the finger is never pressed.
let held = false;
let waiting = null;
document.addEventListener("pointerdown", () => { held = true; });
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => {
    held = false;
    if (waiting) show(JSON.parse(waiting));
    waiting = null;
  }));
}

function say(sentence) {
  $("toast").replaceChildren(`⚠ ${sentence} `, el("button", { type: "button", onclick: hush }, "Close"));
  // Outside of an open dialog nothing can be seen or pressed.
  (document.querySelector("dialog[open]") ?? document.body).append($("toast"));
  $("toast").hidden = false;
}

function hush() {
  $("toast").hidden = true;
}

// Drawing

function show(snapshot) {
  const before = state.snapshot?.me.id;
  state.snapshot = snapshot;
  state.place ??= snapshot.channels.find((each) => each.kind === "channel")?.id;
  const here = snapshot.channels.find((each) => each.id === state.place);
  if (!here && state.place !== HOME) state.place = snapshot.channels[0].id;
  $("link").textContent = snapshot.connected ? "● Holdfast is connected" : "○ Holdfast is not connected";
  $("note").hidden = !snapshot.note;
  $("note").textContent = snapshot.note;
  people();
  channels();
  middle();
  thread();
  relays();
  drawModal(snapshot.modal);
  $("shortcuts").hidden = !snapshot.shortcuts.some((each) => !each.message);
  // Each person has a home of their own, and Slack says so to the app when it is opened.
  if (state.place === HOME && before !== snapshot.me.id) tell({ do: "home" });
}

function eyes() {
  const { me, names, groups, people, channels } = state.snapshot;
  const channelNames = Object.fromEntries(channels.map((each) => [each.id, each.name]));
  return { me, names, groups, people, channels, channelNames };
}

const looks = new WeakMap();

function alike(box, action) {
  return [...box.querySelectorAll(`[data-action="${CSS.escape(action)}"]`)];
}

// Where the focus is: on which action, and the how manieth of those that are named so.
function spot(box, element) {
  const action = element.dataset.action;
  return action ? { action, index: alike(box, action).indexOf(element) } : null;
}

// Replaces the children that look different from last time; focus stays on the same action.
function update(box, wanted) {
  const old = new Map([...box.children].map((each) => [each.dataset.key, each]));
  const kept = wanted.map(({ key, look, make }) => {
    const known = old.get(key);
    if (known && looks.get(known) === look) return known;
    const focused = known?.contains(document.activeElement) ? spot(known, document.activeElement) : null;
    const made = make();
    made.dataset.key = key;
    looks.set(made, look);
    if (known) known.replaceWith(made);
    if (focused) alike(made, focused.action)[focused.index]?.focus();
    return made;
  });
  const stay = new Set(kept);
  for (const each of [...box.children]) if (!stay.has(each)) each.remove();
  kept.forEach((each, index) => {
    if (box.children[index] !== each) box.insertBefore(each, box.children[index] ?? null);
  });
}

function people() {
  const { people, me } = state.snapshot;
  update($("people"), people.map((each) => ({
    key: each.id, look: each.name, make: () => el("option", { value: each.id }, `${each.name} (${each.zone})`),
  })));
  $("people").value = me.id;
}

function nameOf(channel) {
  return `${{ channel: "#", group: "🔒", im: "✉", mpim: "✉" }[channel.kind]} ${channel.name}`;
}

function channels() {
  const rooms = state.snapshot.channels.map((each) => ({ id: each.id, name: nameOf(each) }));
  rooms.push({ id: HOME, name: "⌂ Holdfast Home" });
  update($("channels"), rooms.map((room) => ({
    key: room.id,
    look: `${room.name}${room.id === state.place}`,
    make: () => {
      const made = el("button", { type: "button", onclick: () => go(room.id) }, room.name);
      if (room.id === state.place) made.setAttribute("aria-current", "page");
      return made;
    },
  })));
}

function go(place) {
  state.place = place;
  state.thread = null;
  if (place === HOME) tell({ do: "home" });
  show(state.snapshot);
}

function middle() {
  const { channels, home, me } = state.snapshot;
  $("composer").hidden = state.place === HOME;
  const box = $("messages");
  if (state.place === HOME) {
    $("title").textContent = `Holdfast Home of ${me.name}`;
    const look = JSON.stringify([home, me.id]);
    update(box, [{ key: HOME, look, make: () => homeTab(home) }]);
    return;
  }
  const channel = channels.find((each) => each.id === state.place);
  $("title").textContent = nameOf(channel);
  const low = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const place = channel.id;
  update(box, channel.messages.map((each) => ({
    key: `${place}-${each.ts}`,
    look: JSON.stringify([each, me.id, state.thread === each.ts, clock()]),
    make: () => message(each, channel, { replies: true }),
  })));
  if (!channel.messages.length) box.append(welcome());
  if (low) box.scrollTop = box.scrollHeight;
}

// The newcomer's first minute.
function welcome() {
  const begin = el("button", {
    type: "button", className: "primary", onclick: () => tell({ do: "write", channel: state.place, text: "/campaign start spring-sale" }),
  }, "Start spring-sale");
  const step = (...words) => el("li", {}, ...words);
  return el("section", { className: "welcome", "aria-label": "What to try" },
    el("h3", {}, "A mail outage, in your hands"),
    el("p", {}, "This is a Slack with the real Holdfast in it, and two real mail servers. Nothing leaves this machine."),
    el("ol", {},
      step("Send a campaign: ", begin),
      step("While it goes out, break ", el("strong", {}, "primary"), " in the panel of the mail relays: ", el("em", {}, "Kill"), " is the rudest."),
      step("Holdfast tells you here. Press ", el("em", {}, "Acknowledge"), ", then ", el("em", {}, "Fail over to backup"), "."),
      step("Type ", el("code", {}, "/resend plan"), " for what was lost, and act as ", el("strong", {}, "Jonas"), " to approve it: nobody approves their own.")),
    el("p", { className: "hint" }, "Every command: /holdfast help"));
}

// Dates such as "today" change at midnight, and are drawn again then.
function clock() {
  return new Date().toDateString();
}

function homeTab(home) {
  if (!home) return el("p", { className: "hint" }, "Holdfast has published no home tab for this person yet.");
  const hands = { press: (element, block, value) => press(element, { view: home.id, block }, value), errors: {} };
  return el("article", { className: "message home" }, ...draw(home.blocks, eyes(), hands));
}

function thread() {
  const channel = state.snapshot.channels.find((each) => each.id === state.place);
  const parent = channel?.messages.find((each) => each.ts === state.thread && !each.parent);
  $("thread").hidden = !parent;
  document.body.classList.toggle("with-thread", Boolean(parent));
  if (!parent) return;
  const box = $("replies");
  const low = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  update(box, [parent, ...parent.replies].map((each) => ({
    key: `${channel.id}-${each.ts}`,
    look: JSON.stringify([each === parent ? { ...each, replies: 0 } : each, state.snapshot.me.id, clock()]),
    make: () => message(each, channel, { replies: false }),
  })));
  if (low) box.scrollTop = box.scrollHeight;
}

function message(shown, channel, { replies }) {
  const seen = eyes();
  const at = new Intl.DateTimeFormat("en-GB", { timeZone: seen.me.zone, hour: "2-digit", minute: "2-digit" });
  const time = at.format(new Date(Number(shown.ts) * 1000));
  const hands = { press: (element, block, value) => press(element, { channel: channel.id, ts: shown.ts, block }, value), errors: {} };
  const head = el("p", { className: "who" },
    el("strong", {}, shown.user), shown.bot ? el("span", { className: "app" }, "APP") : null,
    el("time", {}, time), shown.pinned ? el("span", {}, "📌 pinned") : null,
    shown.edited ? el("span", { className: "hint" }, "(edited)") : null,
    shown.ephemeral ? null : moreButton(shown, channel, time));
  const body = el("div", { className: "body" }, head);
  if (shown.ephemeral) body.prepend(el("p", { className: "only" }, "👁 Only visible to you"));
  if (replies && shown.parent) body.append(broadcastNote(shown));
  body.append(...draw(shown.blocks, seen, hands));
  for (const each of shown.attachments) {
    const inside = each.blocks ? draw(each.blocks, seen, hands) : [mrkdwn(each.text ?? each.fallback ?? "", seen)];
    body.append(el("div", { className: "attachment" }, ...inside));
  }
  body.append(...shown.files.map(file));
  if (shown.reactions.length) body.append(reactions(shown, channel));
  if (replies && !shown.parent && !shown.ephemeral) body.append(threadButton(shown));
  const avatar = el("span", { className: shown.bot ? "avatar bot" : "avatar", "aria-hidden": "true" }, shown.user[0]);
  return el("article", { className: shown.ephemeral ? "message ephemeral" : "message", "aria-label": `${shown.user}, ${time}` }, avatar, body);
}

function file(shown) {
  const size = shown.size < 1024 ? `${shown.size} bytes` : `${Math.ceil(shown.size / 1024).toLocaleString("en-US")} KB`;
  const link = el("a", { href: `file/${shown.id}`, download: shown.name }, shown.name);
  const image = shown.image ? el("img", { src: `file/${shown.id}`, alt: shown.title }) : null;
  return el("div", { className: "file" }, el("p", {}, "📄 ", link, el("span", { className: "hint" }, ` ${size}`)), image);
}

function reactions(shown, channel) {
  const chip = ({ name, count, mine }) => el("button", {
    type: "button", className: "reaction", "aria-pressed": String(mine), "data-action": `react-${name}`,
    "aria-label": `${name}, ${count}: ${mine ? "take yours off" : "add yours"}`,
    onclick: () => tell({ do: "react", channel: channel.id, ts: shown.ts, name, on: !mine }),
  }, shortNames(`:${name}:`), ` ${count}`);
  return el("p", { className: "reactions" }, ...shown.reactions.map(chip));
}

const PUSHPIN = "round_pushpin";

function moreButton(shown, channel, time) {
  return el("button", {
    type: "button", className: "more", "data-action": "more", "aria-haspopup": "menu",
    "aria-label": `More for this message of ${shown.user}, ${time}`,
    onclick: (event) => openMenu(event.currentTarget, messageItems(shown, channel)),
  }, "⋯");
}

function messageItems(shown, channel) {
  const here = { channel: channel.id, ts: shown.ts };
  const pushed = shown.reactions.some((each) => each.name === PUSHPIN && each.mine);
  return [
    { text: pushed ? "Take your 📍 off" : "React with 📍", act: () => tell({ do: "react", ...here, name: PUSHPIN, on: !pushed }) },
    { text: shown.pinned ? "Unpin from the channel" : "Pin to the channel", act: () => tell({ do: "pin", ...here, on: !shown.pinned }) },
    ...state.snapshot.shortcuts.filter((each) => each.message).map((each) => ({
      text: each.name, hint: "Holdfast", act: () => tell({ do: "shortcut", callback: each.callback, ...here }),
    })),
  ];
}

function globalItems() {
  return state.snapshot.shortcuts.filter((each) => !each.message).map((each) => ({
    text: each.name, hint: each.about, act: () => tell({ do: "shortcut", callback: each.callback }),
  }));
}

function broadcastNote(shown) {
  return el("p", { className: "hint" }, "replied to a thread: ",
    el("button", { type: "button", className: "link", onclick: () => openThread(shown.parent) }, shown.about));
}

function threadButton(shown) {
  const count = shown.replies.length;
  const words = count ? `${count} ${count === 1 ? "reply" : "replies"}` : "Reply in thread";
  return el("button", { type: "button", className: count ? "link" : "link quiet", onclick: () => openThread(shown.ts) }, words);
}

function openThread(ts) {
  state.thread = ts;
  show(state.snapshot);
  $("replies").scrollTop = $("replies").scrollHeight;
  $("close-thread").focus();
}

function relays() {
  update($("relays"), state.snapshot.relays.map((each) => ({
    key: each.name, look: JSON.stringify([each, state.snapshot.me.zone]), make: () => relay(each),
  })));
}

const BREAKS = [
  ["full", "Full disk"], ["slow", "Slow"], ["hang", "Hang"], ["421", "421"],
  ["refuse", "Refuse"], ["tls", "TLS broken"], ["expired", "Expired certificate"], ["cut", "Cut"], ["kill", "Kill"],
];

function relay(shown) {
  const at = new Intl.DateTimeFormat("en-GB", { timeZone: state.snapshot.me.zone, timeStyle: "medium" });
  const button = ([how, words]) => el("button", {
    type: "button", "aria-label": `${words}: ${shown.name}`, "data-action": how, disabled: !shown.running && how !== "heal",
    className: how === "heal" && shown.level === "bad" ? "primary" : how === "kill" ? "danger" : "",
    onclick: () => tell({ do: "relay", name: shown.name, how }),
  }, words);
  const mails = shown.last.map((each) => el("li", { title: `${each.subject} to ${each.to}` },
    el("time", {}, at.format(new Date(each.at))), " ", el("span", {}, each.to), el("br"), el("small", {}, each.subject)));
  return el("section", { className: "relay", "aria-label": `Relay ${shown.name}` },
    el("h3", {}, shown.name, " ", el("small", {}, shown.address), button(["heal", "Heal"])),
    el("p", { className: `state ${shown.level}` }, `${shown.level === "good" ? "✔" : "✖"} ${shown.state}`),
    el("p", {}, el("strong", { className: "taken" }, shown.taken.toLocaleString("en-US")), " messages taken"),
    el("div", { className: "breaks", role: "group", "aria-label": `Break ${shown.name}` },
      el("span", { className: "hint" }, "Break:"), ...BREAKS.map(button)),
    mails.length ? el("ul", { className: "mails" }, ...mails) : el("p", { className: "hint" }, "No mail has arrived yet."));
}

// Pressing

async function press(element, where, value) {
  if (element.url) window.open(element.url, "_blank", "noopener");
  if (element.confirm && !(await agreed(element.confirm))) return;
  await tell({ do: "click", action: element.action_id, value, ...where });
}

function agreed(asked) {
  const box = $("confirm");
  $("confirm-title").textContent = asked.title.text;
  $("confirm-text").replaceChildren(mrkdwn(asked.text.text, eyes()));
  $("yes").textContent = asked.confirm.text;
  $("yes").className = asked.style ?? "primary";
  $("deny").textContent = asked.deny.text;
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => {
    $("yes").onclick = () => box.close("yes");
    $("deny").onclick = () => box.close("");
    box.onclose = () => done(box.returnValue === "yes");
  });
}

// The rest of the controls

async function send(input, thread) {
  const text = input.value;
  input.value = "";
  if (!(await tell({ do: "write", channel: state.place, text, thread }))) input.value ||= text;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send($("line"), null);
});
$("thread-composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send($("reply"), state.thread);
});
$("close-thread").onclick = () => {
  state.thread = null;
  show(state.snapshot);
};
$("people").onchange = () => {
  state.me = $("people").value;
  sessionStorage.setItem("me", state.me);
  hush();
  listen();
};

$("shortcuts").onclick = (event) => openMenu(event.currentTarget, globalItems());
useModal({ eyes, tell, press });
useEmoji(await (await fetch("emoji")).json());
listen();
