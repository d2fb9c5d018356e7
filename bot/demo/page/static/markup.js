// Slack's mrkdwn as DOM nodes: https://docs.slack.dev/messaging/formatting-message-text/
// Nothing is ever parsed as HTML, so nothing that a person or a server wrote can become markup.

let emoji = {};

export function useEmoji(known) {
  emoji = known;
}

export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

export function shortNames(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => emoji[name] ?? whole);
}

function plainText(text) {
  const entities = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
  return shortNames(text.replace(/&(lt|gt|amp);/g, (found) => entities[found]));
}

const MARKS = [
  [/```\n?([\s\S]*?)\n?```/, (found) => el("pre", {}, literal(found[1]))],
  [/`([^`\n]+)`/, (found) => el("code", {}, literal(found[1]))],
  [/<([^<>]+)>/, (found, seen) => angle(found[1], seen)],
  [/(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])/, (found, seen) => el("strong", {}, ...inline(found[1], seen))],
  [/(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])/, (found, seen) => el("em", {}, ...inline(found[1], seen))],
  [/(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])/, (found, seen) => el("s", {}, ...inline(found[1], seen))],
];

function literal(text) {
  // Inside code only dates, links and entities are understood.
  return text.replace(/<[^<>|]*\|([^<>]*)>/g, "$1").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

function inline(text, seen) {
  let first = null;
  for (const [pattern, make] of MARKS) {
    const found = pattern.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { found, make };
  }
  if (!first) return [plainText(text)];
  const { found, make } = first;
  const after = text.slice(found.index + found[0].length);
  return [plainText(text.slice(0, found.index)), make(found, seen), ...inline(after, seen)];
}

function angle(body, seen) {
  const [target, label] = body.split("|", 2);
  if (target.startsWith("!date^")) return date(target, label, seen.me);
  if (target.startsWith("@")) return mention(`@${seen.names[target.slice(1)] ?? label ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${seen.channelNames[target.slice(1)] ?? label ?? target.slice(1)}`);
  if (target.startsWith("!subteam^")) return mention(`@${seen.groups[target.slice(9)] ?? label ?? "group"}`);
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`);
  if (/^(https?|mailto):/.test(target)) {
    return el("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, plainText(label ?? target));
  }
  return plainText(label ?? target);
}

function mention(text) {
  return el("span", { className: "mention" }, text);
}

function date(target, fallback, me) {
  const [, stamp, form] = target.split("^");
  const at = new Date(Number(stamp) * 1000);
  const shown = form.replace(/\{(\w+)\}/g, (whole, token) => piece(token, at, me.zone) ?? whole);
  return el("time", { dateTime: at.toISOString(), title: `${fallback ?? ""} · shown in ${me.zone}` }, shown);
}

function day(at, zone) {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" }).format(at);
}

function piece(token, at, zone) {
  const as = (options) => new Intl.DateTimeFormat("en-US", { timeZone: zone, ...options }).format(at);
  if (token.endsWith("_pretty")) {
    const near = { 0: "today", [-1]: "yesterday", 1: "tomorrow" };
    const apart = Math.round((new Date(day(at, zone)) - new Date(day(new Date(), zone))) / 86400000);
    if (near[apart]) return near[apart];
  }
  switch (token.replace("_pretty", "")) {
    case "date_num": return day(at, zone);
    case "date_slash": return day(at, zone).split("-").reverse().join("/");
    case "date_short": return as({ dateStyle: "medium" });
    case "date_long": return as({ dateStyle: "full" });
    case "date": return as({ dateStyle: "long" });
    case "time": return as({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    case "time_secs": return as({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
    default: return null;
  }
}

// A whole text: quotes by their lines, the rest as it is; line feeds are kept by the style sheet.
export function mrkdwn(text, seen) {
  const box = el("div", { className: "text" });
  const quoted = /^(?:&gt;|>) ?/;
  for (const part of text.split(/((?:^(?:&gt;|>) ?.*(?:\n|$))+)/m)) {
    if (!part) continue;
    if (quoted.test(part)) {
      const lines = part.trimEnd().split("\n").map((line) => line.replace(quoted, ""));
      box.append(el("blockquote", {}, ...inline(lines.join("\n"), seen)));
    } else box.append(...inline(part, seen));
  }
  return box;
}

export function textOf(object, seen) {
  if (!object) return "";
  // Plain text keeps its line feeds as well.
  return object.type === "mrkdwn" ? mrkdwn(object.text, seen) : el("span", { className: "text" }, shortNames(object.text));
}
