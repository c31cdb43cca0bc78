// Tasks ahead: the next one is fetched, and its clips loaded whole, while this one is judged.

import { ask } from "./api.js";
import { ClipView } from "./clip.js";
import { byId, element } from "./dom.js";

const AHEAD = 1;
const SOON = 3000, LATE = 15000; // pauses between questions whether there is something to do [ms]

export class Deck {
  constructor(outbox) {
    this.outbox = outbox;
    this.held = [];
    this.current = null;
    this.busy = null;
    this.problem = null;
    this.pause = SOON;
  }

  /** Questions that must not be handed out again. */
  get excluded() {
    const mine = [this.current, ...this.held].filter(Boolean).map((task) => task.question.id);
    return [...new Set([...mine, ...this.outbox.questions])];
  }

  /** Take the next task, or null if none is here yet. */
  take() {
    this.current = this.held.shift() ?? null;
    return this.current;
  }

  /** Put tasks in front of what is ahead, as undoing does. */
  putBack(...tasks) {
    this.held.unshift(...tasks);
  }

  /** Forget a task whose lease is gone. */
  discard(task) {
    this.held = this.held.filter((other) => other !== task);
    destroy(task);
  }

  /** Get tasks until enough are ahead; resolves with how many there are. */
  fill() {
    this.busy ??= this.fetch().finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  async fetch() {
    try {
      while (this.held.length < AHEAD) {
        const exclude = this.excluded;
        const data = await ask("GET", `/api/next${exclude.length ? `?exclude=${exclude.join(",")}` : ""}`);
        this.problem = null;
        if (!data) break;
        if (!this.excluded.includes(data.question.id)) this.held.push(makeTask(data));
      }
    } catch (error) {
      if (!(error.status >= 0)) throw error;
      this.problem = error;
    }
    this.pause = this.held.length ? SOON : Math.min(LATE, this.pause * 1.3);
    return this.held.length;
  }
}

/** Make a task of what the server handed out; its clips start to load, out of sight. */
export function makeTask(data) {
  const live = data.question.kind === "live";
  const views = live ? [] : data.clips.map((clip) => new ClipView(clip));
  const layer = element("div", "layer next");
  layer.setAttribute("aria-hidden", "true");
  layer.append(...views.map((view) => view.figure));
  byId("stage").append(layer);
  return { ...data, views, layer };
}

export function destroy(task) {
  task.views.forEach((view) => view.destroy());
  task.layer.remove();
}
