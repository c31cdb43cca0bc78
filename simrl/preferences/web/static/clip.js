// One clip on the page: its video, loaded whole before it is needed, its name and its figures.

import { element, sleep, write } from "./dom.js";
import { Replay } from "./replay.js";

const AGAIN = 1500; // a clip that is still being drawn is asked for again after so long [ms]
const NAMES = { left: "A", right: "B" };

export class ClipView {
  /** `clip` is the server's {id, side, video, poster, replay, metrics, steps, step_seconds}. */
  constructor(clip) {
    this.clip = clip;
    this.gone = new AbortController();
    this.figure = element("figure", `clip ${{ left: "a", right: "b" }[clip.side] ?? ""}`);
    this.figure.dataset.clip = clip.id;
    this.screen = element("div", "screen");
    this.video = element("video");
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto", disablePictureInPicture: true });
    this.video.setAttribute("aria-label", NAMES[clip.side] ? `Clip ${NAMES[clip.side]}` : "Clip");
    this.hint = element("p", "hint", "Loading…");
    this.screen.append(this.video, this.hint);
    if (NAMES[clip.side]) this.figure.append(element("b", "name", NAMES[clip.side]));
    this.figure.append(this.screen, this.makeFigures());
    this.loaded = clip.video ? this.load() : this.tell("This clip has no picture.");
  }

  /** What is steered: the video, or the game's own player in its place. */
  get media() {
    return this.replay ?? this.video;
  }

  get duration() {
    return Number.isFinite(this.media.duration) ? this.media.duration : 0;
  }

  /** Length of one step of the agent in the video, which shows the start, too [s]. */
  get step() {
    const { steps, step_seconds: real } = this.clip;
    return real > 0 && real <= 0.5 ? real : this.duration / (steps + 1);
  }

  /** Number of the step that is shown at a time. */
  stepAt(time) {
    const step = Math.floor(time / Math.max(this.step, 1e-6) + 1e-3);
    return Math.max(0, Math.min(this.clip.steps - 1, step));
  }

  async tell(text) {
    this.hint.hidden = false;
    write(this.hint, text);
  }

  async load() {
    for (;;) {
      const reply = await fetch(this.clip.video, { signal: this.gone.signal }).catch(() => null);
      if (this.gone.signal.aborted) return;
      if (reply?.ok) {
        const file = await reply.blob().catch(() => null);
        if (this.gone.signal.aborted) return;
        if (file) return this.show(file);
      }
      if (reply?.status === 401) return this.tell("Please log in again.");
      if (reply?.status === 404) return this.tell("This clip cannot be drawn. You may skip it.");
      this.tell(reply ? "The clip is being drawn…" : "Waiting for the network…");
      if (reply && this.clip.poster) this.video.poster = this.clip.poster;
      await sleep(AGAIN);
      if (this.gone.signal.aborted) return;
    }
  }

  show(file) {
    return new Promise((done) => {
      this.address = URL.createObjectURL(file);
      this.video.addEventListener("loadeddata", () => {
        this.hint.hidden = true;
        done();
      }, { once: true });
      this.video.addEventListener("error", () => {
        this.tell("This browser cannot play the clip.");
        done();
      }, { once: true });
      this.video.src = this.address;
      this.video.load();
    });
  }

  makeFigures() {
    this.figures = element("dl", "figures");
    for (const [name, value] of Object.entries(this.clip.metrics ?? {})) {
      const pair = element("div");
      pair.append(element("dt", "", name.replaceAll("_", " ")), element("dd", "", neat(value)));
      this.figures.append(pair);
    }
    this.figures.hidden = true;
    return this.figures;
  }

  get hasFigures() {
    return this.figures.childElementCount > 0;
  }

  /** Show the game's own player instead of the video. */
  setCanvas(on) {
    this.video.pause();
    this.replay?.destroy();
    this.replay = null;
    if (on && this.clip.replay) {
      const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
      this.replay = new Replay(this.clip.replay, this.video.getAttribute("aria-label"), press);
      this.screen.append(this.replay.frame);
    }
    this.video.hidden = Boolean(this.replay);
  }

  destroy() {
    this.gone.abort();
    this.replay?.destroy();
    this.video.removeAttribute("src");
    this.video.load();
    if (this.address) URL.revokeObjectURL(this.address);
    this.figure.remove();
  }
}

function neat(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
