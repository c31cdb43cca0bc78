// The game's own player in a box: a sandboxed frame that is steered like a video, by messages.

export class Replay {
  /** `key` hears the keys that are pressed inside the frame: they belong to the page. */
  constructor(address, title, key) {
    this.frame = document.createElement("iframe");
    this.frame.setAttribute("sandbox", "allow-scripts");
    this.frame.title = title;
    this.frame.src = `${address}#embed`;
    this.key = key;
    this.duration = NaN;
    this.paused = true;
    this.ended = false;
    this.seeking = false;
    this.rate = 1;
    this.time = 0;
    this.heardAt = 0;
    this.gone = new AbortController();
    addEventListener("message", (event) => {
      if (event.source === this.frame.contentWindow) this.hear(event.data);
    }, { signal: this.gone.signal });
  }

  hear(message) {
    if (message?.simrl === "key") this.key(String(message.key));
    if (!["ready", "time", "end"].includes(message?.simrl) || !(message.duration > 0)) return;
    this.duration = message.duration;
    if (message.simrl === "ready") {
      this.tell({ loop: false, speed: this.rate, seek: this.time, [this.paused ? "pause" : "play"]: true });
      return;
    }
    this.time = Math.min(message.time, this.duration);
    this.heardAt = performance.now();
    this.ended = message.simrl === "end";
    if (this.ended) this.paused = true;
  }

  tell(message) {
    if (Number.isFinite(this.duration)) this.frame.contentWindow?.postMessage(message, "*");
  }

  get currentTime() {
    const since = this.paused || !this.heardAt ? 0 : (this.rate * (performance.now() - this.heardAt)) / 1000;
    return Number.isFinite(this.duration) ? Math.min(this.duration, this.time + since) : this.time;
  }

  set currentTime(time) {
    this.time = time;
    this.heardAt = performance.now();
    this.ended = false;
    this.tell({ seek: time });
  }

  set playbackRate(rate) {
    this.rate = rate;
    this.tell({ speed: rate });
  }

  async play() {
    if (!this.paused) return;
    this.paused = this.ended = false;
    this.heardAt = performance.now();
    this.tell({ play: true });
  }

  pause() {
    this.time = this.currentTime;
    this.paused = true;
    this.tell({ pause: true });
  }

  destroy() {
    this.gone.abort();
    this.frame.remove();
  }
}
