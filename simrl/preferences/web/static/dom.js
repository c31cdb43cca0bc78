// Small helpers around the document.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** Write text only where it changes: screen readers and the layout stay calm. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const settings = JSON.parse(document.querySelector('meta[name="simrl-settings"]').content);

/** Return a random key; crypto.randomUUID exists only where the page came over https or locally. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// What this browser keeps, or where it may not, this page.

const kept = new Map();
const store = (() => {
  try {
    localStorage.setItem("simrl.try", "1");
    localStorage.removeItem("simrl.try");
    return localStorage;
  } catch {
    return null;
  }
})();

/** Whether what is kept outlives the page. */
export const lasting = store !== null;

export function recall(name) {
  if (kept.has(name)) return kept.get(name);
  try {
    return JSON.parse(store?.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

/** Return all values whose names start with `prefix`. */
export function recallAll(prefix) {
  const names = new Set([...kept.keys(), ...Object.keys(store ?? {})]);
  return [...names].filter((name) => name.startsWith(prefix)).map(recall).filter(Boolean);
}

export function remember(name, value) {
  kept.set(name, value);
  try {
    store?.setItem(name, JSON.stringify(value));
  } catch {
    // The storage is full: what is kept in the page must do.
  }
}

export function forget(name) {
  kept.delete(name);
  store?.removeItem(name);
}
