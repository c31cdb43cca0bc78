// A live session: frames come over a WebSocket, judgements and the person's input go back.

import { element, settings } from "./dom.js";

const POINTER_PAUSE = 33; // pointer moves are sent at most so often [ms]
const BUTTONS = ["mouse-left", "mouse-middle", "mouse-right"];

export class LiveView {
  /** `on` hears frame(header), ready, state, feedback, episode, error, done, stored and lost. */
  constructor(place, lease, key, on) {
    this.on = on;
    this.canvas = element("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "The agent at play");
    place.append(this.canvas);
    this.place = place;
    this.time = 0; // the session's time of the shown frame, and when it was shown
    this.shownAt = performance.now();
    this.running = false;
    this.held = new Set();
    this.pointer = null;
    this.over = false;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws/live/${lease}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("open", () => this.send({ csrf: settings.csrf, key }));
    this.socket.addEventListener("message", (event) => {
      if (typeof event.data === "string") this.hear(JSON.parse(event.data));
      else this.draw(event.data);
    });
    this.socket.addEventListener("close", (event) => {
      if (!this.over) this.on.lost?.(event.reason || "The connection broke.");
      this.over = true;
    });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN && !this.over) this.socket.send(JSON.stringify(message));
  }

  hear(message) {
    if (message.type === "state") this.running = !message.paused;
    if (message.type === "stored" || (message.type === "done" && !message.value)) this.over = true;
    this.on[message.type]?.(message);
  }

  async draw(data) {
    const size = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
    this.newest = header.step;
    const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" }));
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      Object.assign(this.canvas, { width: image.width, height: image.height });
    }
    this.canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    this.time = header.time;
    this.shownAt = performance.now();
    this.on.frame?.(header);
  }

  /** Judge what is on the screen now; the moment counts, not when the network delivers it. */
  feedback(value) {
    const since = this.running ? (performance.now() - this.shownAt) / 1000 : 0;
    this.send({ feedback: value, t: Number((this.time + since).toFixed(3)) });
  }

  /** Say what is held down and where the pointer is. */
  tell(extra = {}) {
    this.send({ keys: [...this.held], pointer: this.pointer, ...extra });
  }

  /** Press a key for the game, or let it go. */
  hold(name, down) {
    if (down === this.held.has(name)) return;
    if (down) this.held.add(name);
    else this.held.delete(name);
    this.tell();
  }

  /** Send keys and mouse over the picture to the game until `release` is called. */
  grab() {
    const stop = new AbortController();
    const listen = (target, kind, act) => target.addEventListener(kind, act, { signal: stop.signal });
    const tell = (extra) => this.tell(extra);
    const hold = (name, down) => this.hold(name, down);
    listen(this.place, "keydown", (event) => {
      if (event.key === "Escape" || event.key === "Tab" || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      hold(event.key.toLowerCase(), true);
    });
    listen(this.place, "keyup", (event) => hold(event.key.toLowerCase(), false));
    listen(this.place, "pointerdown", (event) => {
      this.place.focus();
      event.preventDefault();
      this.place.setPointerCapture?.(event.pointerId);
      this.pointer = this.placeOf(event);
      const name = BUTTONS[event.button] ?? BUTTONS[0];
      this.held.add(name);
      tell(this.pointer ? { clicks: [[...this.pointer, name]] } : {});
    });
    listen(this.place, "pointerup", (event) => hold(BUTTONS[event.button] ?? BUTTONS[0], false));
    listen(this.place, "pointermove", (event) => {
      this.pointer = this.placeOf(event);
      if (performance.now() - (this.movedAt ?? 0) < POINTER_PAUSE) return;
      this.movedAt = performance.now();
      tell();
    });
    listen(this.place, "pointerleave", () => {
      this.pointer = null;
      tell();
    });
    listen(this.place, "contextmenu", (event) => event.preventDefault());
    const drop = () => {
      this.held.clear();
      tell();
    };
    listen(window, "blur", drop);
    listen(this.place, "blur", drop);
    this.release = () => {
      stop.abort();
      drop();
    };
  }

  /** Where an event is in the picture, as fractions from its upper left; null beside it. */
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const width = this.canvas.width * scale, height = this.canvas.height * scale;
    const x = (event.clientX - box.left - (box.width - width) / 2) / width;
    const y = (event.clientY - box.top - (box.height - height) / 2) / height;
    return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? [Number(x.toFixed(4)), Number(y.toFixed(4))] : null;
  }

  destroy() {
    this.release?.();
    this.over = true;
    this.socket.close();
    this.canvas.remove();
  }
}

/** Show what has just been judged, for half a second. */
export function flash(place, value) {
  const mark = element("b", `flash ${value > 0 ? "up" : "down"}`, value > 0 ? "+" : "−");
  place.append(mark);
  setTimeout(() => mark.remove(), 500);
}

const SIGNS = {
  arrowup: "↑", arrowdown: "↓", arrowleft: "←", arrowright: "→", " ": "Space", space: "Space",
  "mouse-left": "Click", "mouse-middle": "Middle click", "mouse-right": "Right click",
};

/** Show what each key does; a finger that has no keys presses these buttons instead. */
export function showControls(place, view, controls) {
  place.replaceChildren();
  for (const [keys, what] of controls ?? []) {
    const names = keys === " " ? [" "] : keys.split(" ").filter(Boolean);
    const signs = names.map((name) => element("kbd", "", SIGNS[name] ?? name.toUpperCase()));
    if (names[0].startsWith("mouse-")) {
      const told = element("span", "soft small");
      told.append(...signs, what);
      place.append(told);
      continue;
    }
    const button = element("button");
    button.type = "button";
    button.append(...signs, what);
    const press = (down) => (event) => {
      event.preventDefault();
      button.classList.toggle("held", down);
      view.hold(names[0], down);
    };
    button.addEventListener("pointerdown", press(true));
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(kind, press(false));
    place.append(button);
  }
}
