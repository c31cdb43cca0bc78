// How far it has come, how fast it goes and how long it will take.

import { byId, write } from "./dom.js";

export class Pace {
  constructor() {
    this.progress = null;
    this.newest = 0;
  }

  /** Answers that this person has given. */
  get answered() {
    return this.progress?.answered ?? 0;
  }

  /** Take in the server's figures; `waiting` answers have not reached it yet. */
  count(progress, waiting) {
    if (progress) this.progress = progress;
    this.show(null, waiting);
  }

  /** Show figures; those that came with a prefetched task may be older than those of an answer. */
  show(progress, waiting) {
    if (progress && (!this.progress || progress.at >= this.progress.at)) this.progress = progress;
    if (!this.progress) return;
    const done = this.progress.answered + waiting;
    const left = Math.max(0, this.progress.open - waiting);
    const bar = byId("progress");
    bar.max = Math.max(1, done + left);
    bar.value = done;
    write(byId("pace"), `${done} done · ${left} left`);
    write(byId("paceMore"), this.speed(left).map((part) => ` · ${part}`).join(""));
  }

  speed(left) {
    const rate = this.progress.per_minute;
    if (!(rate > 0)) return [];
    const minutes = left / rate;
    const long = minutes < 1 ? "less than a minute" : minutes < 90 ? `about ${Math.round(minutes)} min` : `about ${(minutes / 60).toFixed(1)} h`;
    return [`${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)} a minute`, ...(left ? [`${long} to go`] : [])];
  }
}
