// One menu for the whole page, beside whatever opened it. It lies outside of what is drawn anew, so it stays open.

import { el } from "./markup.js";

const box = document.getElementById("menu");

// `items` are { text, hint, act }; an empty list says `nothing`.
export function openMenu(anchor, items, nothing = "") {
  const made = items.map(({ text, hint, act }) => el("button", {
    type: "button", role: "menuitem", onclick: () => {
      box.hidePopover();
      act();
    },
  }, text, hint ? el("small", {}, hint) : null));
  box.replaceChildren(...(made.length ? made : [el("p", { className: "hint" }, nothing)]));
  box.showPopover();
  beside(anchor.getBoundingClientRect());
  made[0]?.focus();
}

// Below the anchor where there is room, else above; never outside of the window.
function beside(place) {
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(place.left, innerWidth - width - 8));
  const below = place.bottom + 4;
  box.style.left = `${left}px`;
  box.style.top = `${below + height < innerHeight ? below : Math.max(8, place.top - height - 4)}px`;
}

box.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const buttons = [...box.querySelectorAll("button")];
  if (!step || !buttons.length) return;
  event.preventDefault();
  const at = buttons.indexOf(document.activeElement);
  buttons[(at + step + buttons.length) % buttons.length].focus();
});
