// The labelling page: shows one task after the other and takes the person's answers.

import { ask } from "./api.js";
import { Deck, destroy, makeTask } from "./deck.js";
import { byId, lasting, randomKey, settings, sleep, write } from "./dom.js";
import { startHelp } from "./help.js";
import { listenToKeys } from "./keys.js";
import { say, tellRefused, tellWaiting } from "./messages.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { Player } from "./player.js";

const PROMPTS = {
  compare: "Which clip is better?",
  rate: "How good is this?",
  thumbs: "Is this good or bad?",
  live: "Tell the agent what is good and what is bad while it plays.",
  moment: "Where does it go wrong?",
  correct: "Show how it should be done.",
  text: "What do you think of this?",
};
const tasks = {};
for (const kind of settings.kinds) tasks[kind] = import(`./tasks/${kind}.js`);

const pace = new Pace();
const player = new Player();
const outbox = new Outbox({ sent, refused, waiting: tellWaiting });
const deck = new Deck(outbox);
const recent = new Map(); // what the server said of tasks whose answers may still be here, by key
const state = {
  task: null, part: null, // what is asked, and the module that asks it
  shownAt: 0, away: 0, hiddenAt: 0, // since when, and how long the page was out of sight [ms]
  figures: settings.metrics === "shown", canvas: false,
  playing: false, // the keys are a game's
  undoable: settings.undoable, busy: false,
};

// Showing tasks.

async function next() {
  const task = deck.take();
  if (!task) return rest();
  await show(task);
  if (await deck.fill() === 0 && state.task === task) retryAhead(task);
  return undefined;
}

/** Nothing was there to get ahead of time: look again now and then while this task is judged. */
async function retryAhead(task) {
  while (state.task === task && !deck.held.length) {
    await sleep(deck.pause);
    if (state.task === task && !document.hidden) await deck.fill();
  }
}

async function show(task) {
  const { kind, prompt } = task.question;
  if (!tasks[kind]) return location.reload(); // the server asks other kinds than when this was loaded
  const { setup } = await tasks[kind];
  state.part?.stop?.();
  state.task = task;
  const root = byId("answers");
  const focused = root.contains(document.activeElement);
  root.replaceChildren(byId(`task-${kind}`).content.cloneNode(true));
  byId("rest").hidden = true;
  byId("work").hidden = false;
  if (focused) byId("work").focus({ preventScroll: true }); // what had the focus is gone
  write(byId("prompt"), prompt || PROMPTS[kind]);
  task.layer.classList.remove("next");
  task.layer.removeAttribute("aria-hidden");
  setCanvas();
  player.take(task.views);
  const playing = (on) => {
    state.playing = on;
    byId("controls").hidden = on;
  };
  state.part = setup({ root, task, player, answer, stored, say, playing, broken });
  root.querySelector("[data-skip]")?.addEventListener("click", skip);
  showOptions();
  Object.assign(state, { shownAt: performance.now(), away: 0 });
  pace.show(task.progress, outbox.items.length);
  document.title = `${PROMPTS[kind]} · ${settings.title}`;
  return measure(task);
}

/** Leave marks that tell how long a person waits after a key; the browser test reads them. */
function measure(task) {
  requestAnimationFrame(() => setTimeout(() => {
    const whole = task.views.every((view) => view.video.readyState >= 2);
    performance.mark("simrl:shown", { detail: { whole } });
    if (performance.getEntriesByName("simrl:answer").length) performance.measure("simrl:wait", "simrl:answer", "simrl:shown");
    performance.clearMarks("simrl:answer");
  }, 0));
}

function clear() {
  const task = state.task;
  state.part?.stop?.();
  Object.assign(state, { task: null, part: null, playing: false });
  deck.current = null;
  player.take([]);
  return task;
}

async function rest() {
  byId("work").hidden = true;
  byId("rest").hidden = false;
  write(byId("restTitle"), "One moment…");
  write(byId("restText"), "Getting the next clips.");
  byId("restCount").textContent = "";
  let first = true;
  while (!deck.held.length && !state.task) {
    if (await deck.fill()) break;
    if (first || !deck.problem) tellRest();
    first = false;
    await sleep(deck.pause);
  }
  if (!state.task) await next();
}

function tellRest() {
  if (deck.problem) return tellWaiting(outbox.items.length, deck.problem);
  tellWaiting(outbox.items.length, null);
  write(byId("restTitle"), pace.answered ? "All done for now. Thank you!" : "Nothing to do just now");
  write(byId("restText"), "This page looks for new clips by itself. You can leave it open, or come back later.");
  write(byId("restCount"), pace.answered ? `You have given ${pace.answered} ${pace.answered === 1 ? "answer" : "answers"}.` : "");
  document.title = `Done for now · ${settings.title}`;
  ask("GET", "/api/progress").then((data) => pace.show(data.progress, outbox.items.length)).catch(() => {});
  return undefined;
}

// Answering.

const activeSeconds = () => Math.max(0, (performance.now() - state.shownAt - state.away) / 1000);

function answer(value, told, pressed) {
  // A key pressed twice must not judge clips that nobody has seen yet.
  if (!state.task || activeSeconds() < settings.min_seconds) return;
  performance.mark("simrl:answer");
  const seconds = Number(activeSeconds().toFixed(3));
  const task = clear();
  const key = randomKey();
  post(task, key, told, "/api/answer", { lease: task.lease, key, value, seconds });
  if (pressed) light(pressed);
}

function skip() {
  if (!state.task || activeSeconds() < settings.min_seconds) return;
  performance.mark("simrl:answer");
  const task = clear();
  post(task, randomKey(), "Skipped", "/api/skip", { lease: task.lease });
}

function post(task, key, told, path, body) {
  const { views, layer, ...data } = task;
  recent.set(key, data);
  outbox.add({ key, at: Date.now(), question: task.question.id, told, path, body });
  afterwards(task, told);
}

/** A live session has stored its answer itself. */
function stored(message, told) {
  const task = clear();
  pace.count(message.progress, outbox.items.length);
  state.undoable = true;
  afterwards(task, told);
}

/** A live session's connection broke: go on if its question is not ours any more; true if so. */
async function broken(task) {
  try {
    await ask("POST", "/api/renew", { lease: task.lease });
    return false;
  } catch (error) {
    const over = error.status === 404 || error.status === 409;
    if (over && state.task === task) lost(task);
    return over;
  }
}

function afterwards(task, told) {
  say(told);
  next();
  destroy(task);
  byId("undo").disabled = !(state.undoable ||= told !== "Skipped");
}

function light(selector) {
  const button = byId("answers").querySelector(selector);
  button?.classList.add("pressed");
  setTimeout(() => button?.classList.remove("pressed"), 180);
}

async function undo() {
  if (state.busy || byId("undo").disabled) return;
  state.busy = true;
  try {
    const item = outbox.takeBack(({ key }) => recent.has(key));
    if (item) await bringBack(makeTask(recent.get(item.key)), "Taken back. Once more:");
    else await undoThere();
  } catch (error) {
    if (!(error.status >= 0)) throw error;
    say(error.status === 404 ? "There is nothing to take back." : `Not taken back: ${error.message}.`, true);
    if (error.status === 404) byId("undo").disabled = !(state.undoable = false);
  } finally {
    state.busy = false;
  }
}

async function undoThere() {
  if (!(await outbox.flush())) return say("Offline: that can be taken back when the connection is there again.", true);
  const data = await ask("POST", "/api/undo");
  pace.count(data.progress, 0);
  if (!data.lease) return say("Taken back; that question is closed now.", true);
  return bringBack(makeTask(data), "Taken back. Once more:");
}

async function bringBack(task, told) {
  const current = clear();
  if (current) {
    current.layer.classList.add("next");
    deck.putBack(current);
  }
  deck.putBack(task);
  say(told, true);
  await next();
}

// What the outbox tells.

function sent(item, reply) {
  recent.delete(item.key);
  if (reply?.progress) pace.count(reply.progress, outbox.items.length);
}

function refused(item, error) {
  recent.delete(item.key);
  if (item.path !== "/api/skip") tellRefused(item.told, error);
}

// Options of the view.

function showOptions() {
  const views = state.task?.views ?? [];
  const figures = views.some((view) => view.hasFigures), canvas = views.some((view) => view.clip.replay);
  byId("metrics").hidden = !figures;
  byId("metrics").setAttribute("aria-pressed", String(state.figures));
  byId("canvas").hidden = !canvas;
  byId("canvas").setAttribute("aria-pressed", String(state.canvas));
  for (const view of views) {
    view.figures.hidden = !(state.figures && view.hasFigures);
  }
}

/** Put the game's own players in the videos' place, or back; true if anything changed. */
function setCanvas() {
  const changed = (state.task?.views ?? []).filter((view) => Boolean(view.replay) !== (state.canvas && Boolean(view.clip.replay)));
  changed.forEach((view) => view.setCanvas(state.canvas));
  return changed.length > 0;
}
function toggle(name) {
  state[name] = !state[name];
  showOptions();
}
const toggleFigures = () => !byId("metrics").hidden && toggle("figures");
function toggleCanvas() {
  if (byId("canvas").hidden) return;
  toggle("canvas");
  if (setCanvas()) player.take(state.task.views);
}

// Leases live as long as the page is looked at.

async function renew() {
  if (document.hidden) return;
  for (const task of [state.task, ...deck.held].filter(Boolean)) {
    try {
      await ask("POST", "/api/renew", { lease: task.lease });
    } catch (error) {
      if (error.status === 404 || error.status === 409) lost(task);
      else if (error.status >= 0) return;
      else throw error;
    }
  }
}

function lost(task) {
  if (task !== state.task) {
    deck.discard(task);
    deck.fill();
    return;
  }
  say("That question has been answered or went to somebody else. Here is the next.", true);
  destroy(clear());
  next();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    state.hiddenAt = performance.now();
    return;
  }
  state.away += performance.now() - Math.max(state.hiddenAt, state.shownAt);
  renew();
  outbox.flush();
});
setInterval(renew, 1000 * settings.renew_seconds);
addEventListener("beforeunload", (event) => {
  if (outbox.items.length && !lasting) event.preventDefault(); // nothing here outlives the page
});

// Buttons and keys.

const help = startHelp(() => [...(state.part?.help ?? []), ...helpOfAll()]);
function helpOfAll() {
  const clips = [["Space", "from the start"], ["P", "play, pause"], [", .", "one frame back, on"], ["[ ]", "slower, faster"]];
  return [
    ...(state.task?.views.length ? clips : []), ["S", "skip"], ["U", "take the last answer back"],
    ...(byId("metrics").hidden ? [] : [["M", "show or hide the figures"]]),
    ...(byId("canvas").hidden ? [] : [["G", "the game's own player, or the video"]]), ["?", "this help"],
  ];
}
byId("undo").addEventListener("click", undo);
byId("metrics").addEventListener("click", toggleFigures);
byId("canvas").addEventListener("click", toggleCanvas);

const SHARED = { s: skip, u: undo, m: toggleFigures, g: toggleCanvas, "?": () => help.open() };
listenToKeys(
  () => ({ ...(state.task?.views.length ? player.keys : {}), ...SHARED, ...state.part?.keys }),
  () => !state.playing && !byId("keys").open,
  () => (state.task?.question.kind === "compare" ? ["ArrowLeft", "ArrowRight"] : []),
);

byId("undo").disabled = !state.undoable;
pace.show(settings.progress, outbox.items.length);
outbox.flush();
next();
