// Play clips together: one clock for all, looping, at any speed; the shorter waits for the longer.

import { byId, write } from "./dom.js";

const DRIFT = 0.08; // clips further apart than this are brought together [s]
const HOLD = 450; // the end stays to be seen for so long before it starts over [ms]
const PLAY_SHAPE = "M4 2.5v11l9-5.5z", PAUSE_SHAPE = "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z";
const SPEEDS = [...byId("speed").options].map((option) => Number(option.value));
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Player {
  constructor() {
    this.views = [];
    this.rate = 1;
    this.playing = false;
    this.holdUntil = 0;
    this.bind();
    const tick = (now) => {
      this.tick(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get duration() {
    return Math.max(0, ...this.views.map((view) => view.duration));
  }

  /** The clip that sets the time: the longest. */
  get lead() {
    return this.views.reduce((best, view) => (!best || view.duration > best.duration ? view : best), null);
  }

  get time() {
    return this.lead?.media.currentTime ?? 0;
  }

  /** Take other clips and play them from the start, unless the person wants no motion. */
  take(views) {
    this.views.forEach((view) => view.media.pause());
    this.views = views;
    this.setRate(this.rate);
    this.seek(0);
    this.play(!calm);
    byId("controls").hidden = !views.some((view) => view.clip.video);
  }

  play(on) {
    this.playing = on;
    this.holdUntil = 0;
    if (on && this.duration && this.time >= this.duration - 0.02) this.seek(0);
    for (const view of this.views) {
      if (on && !view.media.ended) view.media.play().catch(() => {});
      else view.media.pause();
    }
    if (!on) this.seek(this.time); // standing clips show the very same moment
    byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
    byId("playShape").setAttribute("d", on ? PAUSE_SHAPE : PLAY_SHAPE);
  }

  seek(time) {
    const goal = Math.max(0, Math.min(this.duration, time));
    this.holdUntil = 0;
    for (const view of this.views) {
      const place = Math.min(goal, view.duration);
      if (view.media.currentTime !== place) view.media.currentTime = place;
    }
  }

  replay() {
    this.seek(0);
    this.play(true);
  }

  /** Stand still one step of the agent further; the middle of it, lest rounding shows its neighbour. */
  step(way) {
    this.play(false);
    const step = Math.max(this.lead?.step ?? 0, 1 / 30);
    this.seek((Math.floor(this.time / step + 0.01) + way + 0.5) * step);
  }

  setRate(rate) {
    this.rate = rate;
    byId("speed").value = String(rate);
    this.views.forEach((view) => {
      view.video.defaultPlaybackRate = rate; // loading a file would set the speed back to this
      view.media.playbackRate = rate;
    });
  }

  faster(way) {
    const next = SPEEDS.indexOf(this.rate) + way;
    this.setRate(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, next))]);
  }

  tick(now) {
    const lead = this.lead;
    if (!lead || !lead.duration) return;
    if (this.playing) {
      this.goOn(lead, now);
      this.together(lead);
    }
    if (!this.dragging) byId("time").value = String(Math.round((1000 * this.time) / this.duration));
    write(byId("when"), `${this.time.toFixed(1)} / ${this.duration.toFixed(1)} s`);
    byId("time").setAttribute("aria-valuetext", `${this.time.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
  }

  goOn(lead, now) {
    if (!lead.media.ended) {
      if (lead.media.paused) lead.media.play().catch(() => {});
      return;
    }
    this.holdUntil ||= now + HOLD;
    if (now >= this.holdUntil) this.replay();
  }

  together(lead) {
    for (const { media, duration } of this.views) {
      if (media === lead.media || !duration || media.seeking) continue;
      const goal = Math.min(lead.media.currentTime, duration);
      if (goal < duration && Math.abs(media.currentTime - goal) > DRIFT * Math.max(1, this.rate)) media.currentTime = goal;
      if (goal < duration && media.paused && !lead.media.ended) media.play().catch(() => {});
    }
  }

  bind() {
    byId("play").addEventListener("click", () => this.play(!this.playing));
    byId("replay").addEventListener("click", () => this.replay());
    byId("back").addEventListener("click", () => this.step(-1));
    byId("forth").addEventListener("click", () => this.step(1));
    byId("speed").addEventListener("change", (event) => this.setRate(Number(event.target.value)));
    const bar = byId("time");
    bar.addEventListener("input", () => {
      this.play(false);
      this.seek((Number(bar.value) / 1000) * this.duration);
    });
    bar.addEventListener("pointerdown", () => {
      this.dragging = true;
      this.wasPlaying = this.playing;
    });
    const release = () => {
      if (this.dragging && this.wasPlaying) this.play(true);
      this.dragging = false;
      bar.blur(); // so that the arrows answer again
    };
    bar.addEventListener("pointerup", release);
    bar.addEventListener("pointercancel", release);
  }

  /** Keys that all tasks with clips share, and what they do. */
  get keys() {
    return {
      " ": () => this.replay(),
      p: () => this.play(!this.playing),
      ",": () => this.step(-1),
      ".": () => this.step(1),
      "[": () => this.faster(-1),
      "]": () => this.faster(1),
    };
  }
}
