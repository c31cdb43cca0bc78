// Answers on their way: kept in the browser until the server has them, sent in order, never twice.
// Each carries its own key, and the server stores a key once, so sending again does no harm.

import { ask } from "./api.js";
import { forget, recall, recallAll, remember, settings } from "./dom.js";

const PLACE = `simrl.outbox.${settings.user}.`; // one entry for each, so that two tabs lose nothing
const LONGEST_WAIT = 15000;

export class Outbox {
  /** `told` hears of every change: sent(item, reply), refused(item, error), waiting(count, error). */
  constructor(told) {
    this.told = told;
    this.items = recallAll(PLACE).sort((one, other) => one.at - other.at);
    this.busy = null;
    this.wait = 0;
    addEventListener("online", () => this.flush());
  }

  get questions() {
    return this.items.map((item) => item.question);
  }

  /** Take in {key, at, question, path, body}. */
  add(item) {
    this.items.push(item);
    remember(PLACE + item.key, item);
    this.flush();
  }

  /** Take the newest item back if it has never left and `known` knows its clips, else null. */
  takeBack(known) {
    const item = this.items[this.items.length - 1];
    if (!item || item === this.leaving || item.left || !known(item)) return null;
    this.drop(item);
    return item;
  }

  /** Send all; resolves true when the box is empty, false when it has to wait. */
  flush() {
    clearTimeout(this.timer);
    this.busy ??= this.send().finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  async send() {
    while (this.items.length) {
      const item = this.leaving = this.items[0];
      try {
        const reply = await ask("POST", item.path, item.body);
        this.drop(item);
        this.told.sent(item, reply);
      } catch (error) {
        if (!(error.status >= 0)) throw error;
        if (error.passing || error.status === 401) return this.later(item, error);
        this.drop(item);
        this.told.refused(item, error);
      } finally {
        this.leaving = null;
      }
      this.wait = 0;
    }
    this.told.waiting(0, null);
    return true;
  }

  later(item, error) {
    // The server may have stored it and only its reply was lost: then undo has to ask the server.
    item.left = true;
    remember(PLACE + item.key, item);
    this.wait = Math.min(LONGEST_WAIT, Math.max(1000, 2 * this.wait, 1000 * (error.retryAfter ?? 0)));
    this.timer = setTimeout(() => this.flush(), this.wait);
    this.told.waiting(this.items.length, error);
    return false;
  }

  drop(item) {
    this.items = this.items.filter((other) => other !== item);
    forget(PLACE + item.key);
  }
}
