// The list of keys.

import { byId, element } from "./dom.js";

/** `entries()` returns [[keys, what they do], ...] of what is on the page now. */
export function startHelp(entries) {
  const dialog = byId("keys");
  const open = () => {
    byId("keysList").replaceChildren(...entries().flatMap(([keys, what]) => {
      const term = element("dt");
      term.append(...keys.split(" ").map((key) => element("kbd", "", key)));
      return [term, element("dd", "", what)];
    }));
    dialog.showModal();
  };
  byId("help").addEventListener("click", open);
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "?") dialog.close();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return { open };
}
