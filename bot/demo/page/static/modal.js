// The topmost modal of whoever acts, in a dialog. What was typed stays when the view is updated, as in Slack, and
// when a view that was pushed over it is closed again.

import { draw } from "./kit.js";

const $ = (id) => document.getElementById(id);
const box = $("modal");
const typed = new Map(); // view id -> what stood in its fields
let shown = null;
let look = "";
let fields = new Map();
let hand = null;

// `hands` has eyes(), tell(deed) and press(element, where, value).
export function useModal(hands) {
  hand = hands;
}

export function drawModal(view) {
  const wanted = view ? JSON.stringify([view.id, view.hash, view.errors]) : "";
  if (wanted === look) return;
  const focus = document.activeElement?.closest?.("[data-keep]")?.dataset.keep;
  if (shown) typed.set(shown.id, written());
  look = wanted;
  shown = view;
  if (!view) {
    typed.clear();
    box.close();
    return;
  }
  fields = new Map();
  const press = (element, block, value) => hand.press(element, { view: view.id, block }, value);
  $("modal-title").textContent = view.title.text;
  $("modal-depth").hidden = view.depth < 2;
  $("modal-depth").textContent = `View ${view.depth}: closing it leads back to the one below.`;
  $("modal-blocks").replaceChildren(...draw(view.blocks, hand.eyes(), { press, errors: view.errors, fields }));
  refill(typed.get(view.id) ?? []);
  $("modal-close").textContent = view.close?.text ?? "Cancel";
  $("modal-submit").textContent = view.submit?.text ?? "";
  $("modal-submit").hidden = !view.submit;
  if (!box.open) box.showModal();
  const wrong = box.querySelector("[aria-invalid]");
  const again = focus && box.querySelector(`[data-keep="${CSS.escape(focus)}"]`);
  (wrong ?? again)?.focus();
}

function inputs(control) {
  return [...control.querySelectorAll("input")];
}

function written() {
  return [...$("modal-blocks").querySelectorAll("[data-keep]")].map((control) => {
    const several = control.matches("select[multiple]");
    const value = control.matches(".boxes") ? inputs(control).filter((each) => each.checked).map((each) => each.value)
      : several ? [...control.selectedOptions].map((each) => each.value) : control.value;
    return [control.dataset.keep, value];
  });
}

function refill(values) {
  for (const [key, value] of values) {
    const control = $("modal-blocks").querySelector(`[data-keep="${CSS.escape(key)}"]`);
    if (!control) continue;
    if (control.matches(".boxes")) inputs(control).forEach((each) => { each.checked = value.includes(each.value); });
    else if (control.matches("select[multiple]")) [...control.options].forEach((each) => { each.selected = value.includes(each.value); });
    else control.value = value;
  }
}

function closeModal() {
  if (shown) hand.tell({ do: "close", view: shown.id });
}

$("modal-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = {};
  for (const [key, read] of fields) {
    const value = read();
    if (value !== undefined) values[key] = value;
  }
  $("modal-submit").disabled = true; // until it is answered: once is enough
  await hand.tell({ do: "submit", view: shown.id, values });
  $("modal-submit").disabled = false;
});
$("modal-close").onclick = closeModal;
box.addEventListener("cancel", (event) => {
  event.preventDefault();
  closeModal();
});
