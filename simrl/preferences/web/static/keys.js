// The keyboard: which keys are the page's, and which are a field's, a button's or a game's.

import { byId } from "./dom.js";

const STEPS = [",", ".", "ArrowLeft", "ArrowRight"]; // may be held down, where they do not answer

/** Call `keys()[key]()` at each key; `free()` tells whether keys are the page's just now. */
export function listenToKeys(keys, free, answers) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !free() || ownedBy(event.target, event.key)) return;
    const act = keys()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    if (event.repeat && (!STEPS.includes(event.key) || answers().includes(event.key))) return;
    act();
  });
  // What was clicked with a mouse or touched must not swallow the space key afterwards.
  addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest?.("button, summary")?.blur();
    const menu = document.querySelector(".menu");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });
  byId("speed").addEventListener("change", (event) => event.target.blur());
}

/** Whether what has the focus needs the key itself. */
function ownedBy({ tagName = "", type = "" }, key) {
  if (tagName === "TEXTAREA" || tagName === "SELECT") return true;
  if (tagName === "INPUT") return type !== "range" || key.startsWith("Arrow");
  return ["BUTTON", "SUMMARY", "A"].includes(tagName) && (key === " " || key === "Enter");
}
