// What the page says: to screen readers, in a passing note, in the banner above the clips.

import { byId, element, write } from "./dom.js";

const NOTE_SECONDS = 4;
let calmer = 0;

/** Tell screen readers; `shown` shows it to everybody for a while. */
export function say(text, shown = false) {
  write(byId("said"), text);
  if (!shown) return;
  const toast = byId("toast");
  write(toast, text);
  toast.hidden = false;
  clearTimeout(calmer);
  calmer = setTimeout(() => {
    toast.hidden = true;
  }, 1000 * NOTE_SECONDS);
}

/** Tell above the clips that `count` answers wait because of `error`; null: all is well again. */
export function tellWaiting(count, error) {
  const banner = byId("banner");
  banner.hidden = !error;
  if (!error) return;
  const kept = count ? ` ${count} ${count === 1 ? "answer is" : "answers are"} kept on this device and will be sent.` : "";
  if (error.status === 401) {
    banner.replaceChildren(`You are logged out.${kept} `, link("/login", "Log in again"));
  } else if (error.status === 0) {
    write(banner, `No connection.${kept}${count ? " Just go on." : " Trying again."}`);
  } else if (error.status === 429) {
    write(banner, `The server asks for a little patience.${kept}`);
  } else {
    write(banner, `The server has trouble (${error.status}).${kept}`);
  }
  banner.classList.toggle("bad", error.status === 401);
}

/** Tell what became of an answer that the server did not take. */
export function tellRefused(told, error) {
  const late = error.status === 409 || error.status === 404;
  say(`“${told}” ${late ? "came too late" : "was refused"}: ${error.message}.`, true);
}

function link(href, text) {
  const made = element("a", "", text);
  made.href = href;
  return made;
}
