// Block Kit as DOM. `seen` holds whose eyes these are: me, names, groups, channelNames, people, channels.
// `hands.press(element, blockId, value)` is called for what acts at once; `hands.fields` collects what is submitted.

import { el, mrkdwn, shortNames, textOf } from "./markup.js";

export function draw(blocks, seen, hands) {
  return blocks.map((block) => {
    const make = BLOCKS[block.type] ?? unknown;
    const made = make(block, seen, hands);
    made.classList.add("block", `block-${block.type}`);
    return made;
  });
}

const BLOCKS = {
  header: (block) => el("h3", {}, shortNames(block.text.text)),
  divider: () => el("hr"),
  section: (block, seen, hands) => {
    const words = el("div", { className: "words" });
    if (block.text) words.append(textOf(block.text, seen));
    if (block.fields) {
      words.append(el("div", { className: "fields" }, ...block.fields.map((each) => el("div", {}, textOf(each, seen)))));
    }
    return el("div", {}, words, block.accessory ? element(block.accessory, block, seen, hands) : null);
  },
  context: (block, seen, hands) =>
    el("div", {}, ...block.elements.map((each) =>
      each.type === "image" ? element(each, block, seen, hands) : el("span", {}, textOf(each, seen)))),
  actions: (block, seen, hands) => el("div", {}, ...block.elements.map((each) => element(each, block, seen, hands))),
  input,
  image: (block) =>
    el("figure", {},
      block.title ? el("figcaption", {}, shortNames(block.title.text)) : null,
      el("img", { src: block.image_url, alt: block.alt_text })),
  markdown: (block, seen) => mrkdwn(block.text.replace(/\*\*/g, "*"), seen),
  alert: (block, seen) => {
    const signs = { info: "ℹ️ Note", warning: "⚠️ Warning", error: "⛔ Error", success: "✅ Done" };
    const sign = signs[block.level] ?? "Note";
    return el("div", { className: `level-${block.level ?? "default"}` }, el("strong", {}, sign), textOf(block.text, seen));
  },
  table,
  rich_text: (block, seen) => el("div", {}, ...block.elements.map((each) => richPart(each, seen))),
  card: (block, seen, hands) =>
    el("div", {},
      ...["title", "subtitle", "body"].filter((name) => block[name]).map((name) =>
        el("div", { className: `card-${name}` }, textOf(block[name], seen))),
      ...(block.actions ?? []).map((each) => element(each, block, seen, hands))),
  container: (block, seen, hands) =>
    el("div", {}, el("strong", {}, textOf(block.title, seen)), ...draw(block.child_blocks ?? [], seen, hands)),
  carousel: (block, seen, hands) => el("div", { tabIndex: 0, "aria-label": "Cards" }, ...draw(block.elements, seen, hands)),
  video: (block) => el("div", {},
    el("a", { href: block.title_url ?? block.video_url, target: "_blank", rel: "noopener noreferrer" }, `▶ ${block.title.text}`),
    el("p", { className: "hint" }, `Video: ${block.alt_text}`)),
  plan: (block, seen, hands) => el("div", {}, el("strong", {}, block.title), ...draw(block.tasks ?? [], seen, hands)),
  task_card: (block) => {
    const signs = { pending: "○ to do", in_progress: "◐ under way", complete: "✔ done", error: "✖ failed" };
    return el("p", {}, el("strong", {}, block.title), ` ${signs[block.status] ?? ""}`);
  },
};

function unknown(block) {
  return absent(`Slack shows a block of type ${block.type} here`);
}

// What the page does not draw stands where it would be, so that nobody looks for a mistake in the app.
function absent(words) {
  return el("p", { className: "absent" }, `⬚ ${words}; this page does not.`);
}

function input(block, seen, hands) {
  const field = element(block.element, block, seen, hands);
  const control = field.matches("input, select, textarea") ? field : null;
  if (control) control.id = `field-${block.block_id}`;
  const error = hands.errors?.[block.block_id];
  const label = el(control ? "label" : "div", { className: "label" }, shortNames(block.label.text));
  if (control) {
    label.htmlFor = control.id;
    control.removeAttribute("aria-label"); // its label says more than its placeholder
  }
  if (block.optional) label.append(el("span", { className: "hint" }, " (optional)"));
  const said = error ? el("p", { className: "error", id: `error-${block.block_id}` }, `⚠ ${error}`) : null;
  const main = control ?? field.querySelector("input") ?? field;
  if (!block.optional && control) control.required = true;
  if (said) {
    main.setAttribute("aria-invalid", "true");
    main.setAttribute("aria-describedby", said.id);
  }
  return el("div", {}, label, field, said, block.hint ? el("p", { className: "hint" }, shortNames(block.hint.text)) : null);
}

function table(block, seen) {
  const settings = block.column_settings ?? [];
  const cell = (value, column, name) => {
    const made = el(name, {}, value.type === "rich_text"
      ? el("div", {}, ...value.elements.map((each) => richPart(each, seen)))
      : String(value.text ?? value.value));
    made.dataset.align = settings[column]?.align ?? "left";
    return made;
  };
  const [head, ...rows] = block.rows;
  return el("div", {}, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((each, column) => cell(each, column, "th")))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((each, column) => cell(each, column, "td")))))));
}

function richPart(part, seen) {
  if (part.type === "rich_text_list") {
    return el(part.style === "ordered" ? "ol" : "ul", {}, ...part.elements.map((each) => el("li", {}, richPart(each, seen))));
  }
  const name = { rich_text_preformatted: "pre", rich_text_quote: "blockquote" }[part.type] ?? "div";
  return el(name, {}, ...(part.elements ?? []).map((each) => richWord(each, seen)));
}

function richWord(word, seen) {
  if (word.type === "link") return el("a", { href: word.url, target: "_blank", rel: "noopener noreferrer" }, word.text ?? word.url);
  if (word.type === "emoji") return shortNames(`:${word.name}:`);
  if (word.type === "user") return `@${seen.names[word.user_id] ?? word.user_id}`;
  const style = word.style ?? {};
  const name = style.code ? "code" : style.bold ? "strong" : style.italic ? "em" : "span";
  return el(name, {}, word.text ?? "");
}

// Elements

function element(given, block, seen, hands) {
  const make = ELEMENTS[given.type] ?? choosers(given.type);
  if (!make) return absent(ABSENT[given.type] ?? `Slack shows an element of type ${given.type} here`);
  const made = make(given, block, seen, hands);
  made.dataset.action = given.action_id ?? "";
  return made;
}

const ELEMENTS = {
  button: (given, block, seen, hands) => {
    const text = shortNames(given.text.text);
    const press = () => hands.press(given, block.block_id);
    return el("button", { type: "button", className: given.style ?? "", "aria-label": given.accessibility_label, onclick: press }, text);
  },
  image: (given) => el("img", { src: given.image_url, alt: given.alt_text, className: "thumb" }),
  overflow: (given, block, seen, hands) => {
    const select = options(el("select", { className: "overflow", "aria-label": "More actions" }), given, "⋯");
    select.onchange = () => {
      const chosen = select.value;
      select.value = "";
      hands.press(given, block.block_id, chosen);
    };
    return select;
  },
  static_select: (given, block, seen, hands) => chooser(options(menu(given), given, label(given)), given, block, hands),
  users_select: (given, block, seen, hands) =>
    chooser(list(menu(given), seen.people, label(given), given.initial_users ?? [given.initial_user]), given, block, hands),
  channels_select: (given, block, seen, hands) =>
    chooser(list(menu(given), seen.channels, label(given), given.initial_channels ?? [given.initial_channel]), given, block, hands),
  conversations_select: (given, block, seen, hands) =>
    chooser(list(menu(given), seen.channels, label(given), given.initial_conversations ?? [given.initial_conversation]), given, block, hands),
  checkboxes: (given, block, seen, hands) => boxes(given, block, seen, hands, "checkbox"),
  radio_buttons: (given, block, seen, hands) => boxes(given, block, seen, hands, "radio"),
  datepicker: (given, block, seen, hands) => moment(given, block, hands, "date", given.initial_date),
  timepicker: (given, block, seen, hands) => moment(given, block, hands, "time", given.initial_time),
  datetimepicker: (given, block, seen, hands) => {
    const start = given.initial_date_time;
    const shown = start ? new Date((start + seen.me.offset) * 1000).toISOString().slice(0, 16) : "";
    const read = (value) => Date.parse(`${value}Z`) / 1000 - seen.me.offset;
    return moment(given, block, hands, "datetime-local", shown, read);
  },
  plain_text_input: (given, block, seen, hands) =>
    written(el(given.multiline ? "textarea" : "input", given.multiline ? { rows: 4 } : { type: "text" }), given, block, hands),
  email_text_input: (given, block, seen, hands) => written(el("input", { type: "email" }), given, block, hands),
  url_text_input: (given, block, seen, hands) => written(el("input", { type: "url" }), given, block, hands),
  number_input: (given, block, seen, hands) =>
    written(el("input", { type: "number", min: given.min_value, max: given.max_value, step: given.is_decimal_allowed ? "any" : "1" }), given, block, hands),
};
ELEMENTS.workflow_button = ELEMENTS.button;
const ABSENT = {
  external_select: "Slack lets people search a list of the app's here",
  multi_external_select: "Slack lets people search a list of the app's here",
  rich_text_input: "Slack has a field for formatted text here",
  file_input: "Slack lets people choose files here",
};

function choosers(type) {
  const single = type.startsWith("multi_") && !ABSENT[type] ? ELEMENTS[type.slice(6)] : null;
  return single ? (given, block, seen, hands) => single({ ...given, many: true }, block, seen, hands) : null;
}

function label(given) {
  return given.placeholder ? shortNames(given.placeholder.text) : "Choose…";
}

function menu(given) {
  return el("select", { "aria-label": label(given), multiple: given.many ?? false });
}

function options(select, given, first) {
  const chosen = new Set([given.initial_option, ...(given.initial_options ?? [])].filter(Boolean).map((each) => each.value));
  const make = (each) => el("option", { value: each.value, selected: chosen.has(each.value) }, shortNames(each.text.text));
  if (!select.multiple) select.append(el("option", { value: "" }, first));
  select.append(...(given.options ?? []).map(make));
  for (const group of given.option_groups ?? []) {
    select.append(el("optgroup", { label: group.label.text }, ...group.options.map(make)));
  }
  return select;
}

function list(select, choices, first, initial) {
  if (!select.multiple) select.append(el("option", { value: "" }, first));
  select.append(...choices.map((each) => el("option", { value: each.id, selected: initial.includes(each.id) }, each.name)));
  return select;
}

// A control of an input block is read at the submission; one that stands elsewhere acts at once as well.
function keep(control, given, block, hands, read) {
  const key = block.type === "input" ? block.block_id : given.action_id;
  hands.fields?.set(key, read);
  control.dataset.keep = `${block.block_id}/${given.action_id}`;
  const acts = block.type !== "input" || block.dispatch_action;
  if (acts) control.addEventListener("change", () => {
    const value = read();
    if (value !== undefined) hands.press(given, block.block_id, value);
  });
  return control;
}

function chooser(select, given, block, hands) {
  const read = () => select.multiple ? [...select.selectedOptions].map((each) => each.value) : select.value || undefined;
  return keep(select, given, block, hands, read);
}

function boxes(given, block, seen, hands, type) {
  const chosen = new Set([given.initial_option, ...(given.initial_options ?? [])].filter(Boolean).map((each) => each.value));
  const group = el("div", { className: "boxes", role: type === "radio" ? "radiogroup" : "group", "aria-label": block.label?.text ?? label(given) });
  for (const each of given.options) {
    const box = el("input", { type, name: `${block.block_id}-${given.action_id}`, value: each.value, checked: chosen.has(each.value) });
    const about = each.description ? el("span", { className: "hint" }, textOf(each.description, seen)) : null;
    group.append(el("label", {}, box, el("span", {}, textOf(each.text, seen), about)));
  }
  const read = () => {
    const values = [...group.querySelectorAll("input:checked")].map((each) => each.value);
    return type === "radio" ? values[0] : values;
  };
  return keep(group, given, block, hands, read);
}

function moment(given, block, hands, type, initial, convert = (value) => value) {
  const control = el("input", { type, value: initial ?? "", "aria-label": label(given) });
  return keep(control, given, block, hands, () => control.value ? convert(control.value) : undefined);
}

function written(control, given, block, hands) {
  control.value = given.initial_value ?? "";
  control.placeholder = given.placeholder ? shortNames(given.placeholder.text) : "";
  if (given.max_length) control.maxLength = given.max_length;
  const read = () => control.value || given.initial_value ? control.value : undefined;
  return keep(control, given, block, hands, read);
}
