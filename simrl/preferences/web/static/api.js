// Ask the server: JSON with the session's CSRF token, and one kind of error for whatever fails.

import { settings } from "./dom.js";

const TIMEOUT = 15000;

/** What went wrong: status 0 means that the server could not be reached. */
export class Refused extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

async function send(method, path, body) {
  const options = { method, headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.headers["X-CSRF-Token"] = settings.csrf;
    options.body = JSON.stringify(body ?? {});
  }
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Refused(0, "the server cannot be reached");
  }
  if (reply.status === 204) return null;
  const data = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, data.error ?? reply.statusText, Number(reply.headers.get("Retry-After")) || 0);
  return data;
}

/** Ask once; after a new login in another tab, take the new session's token and ask again. */
export async function ask(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (error.status !== 403 || method === "GET") throw error;
    const me = await send("GET", "/api/me");
    if (!me) throw new Refused(401, "please log in");
    if (me.user !== settings.user) throw new Refused(401, "another person has logged in here");
    if (me.csrf === settings.csrf) throw error;
    settings.csrf = me.csrf;
    return send(method, path, body);
  }
}
