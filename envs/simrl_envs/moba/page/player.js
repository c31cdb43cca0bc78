// Time, controls and keys: what moves the page.

const byId = (id) => document.getElementById(id);
const state = { time: 0, playing: false, speed: 1, view: -1, fog: -1, stale: true, snap: true, loop: false, held: 0 };
const SPEEDS = [...byId("speed").options].map((option) => Number(option.value));
const PLAY_SHAPE = "M4 2.5v11l9-5.5z", PAUSE_SHAPE = "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z";
const NOTICE_SECONDS = 2.5, LOOP_SECONDS = 0.45;

const seek = (frame, snap = true) => {
  state.time = Math.max(0, Math.min(LAST, frame));
  state.held = 0;
  state.stale = true;
  state.snap = state.snap || snap;
};

function play(on) {
  if (on && state.time >= LAST) seek(0);
  state.playing = on;
  byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
  byId("playShape").setAttribute("d", on ? PAUSE_SHAPE : PLAY_SHAPE);
}

function setSpeed(speed) {
  state.speed = speed;
  byId("speed").value = SPEEDS.includes(speed) ? String(speed) : "";
}

function setView(view) {
  Object.assign(state, { view, stale: true, snap: true });
  byId("view").value = String(view);
}

function setFog(fog) {
  Object.assign(state, { fog, stale: true });
  byId("fog").value = String(fog);
}

function jump(way) {
  const frame = Math.floor(state.time);
  const later = packed.events.filter((event) => event.frame > frame + 1);
  const earlier = packed.events.filter((event) => event.frame < frame - 8);
  const goal = way > 0 ? later[0] : earlier[earlier.length - 1];
  if (goal) seek(goal.frame);
  else seek(way > 0 ? LAST : 0);
}

// The page's parts.

for (const team of [0, 1]) {
  const mine = heroes.filter((hero) => hero.team === team);
  const who = [...new Set(mine.map((hero) => hero.policy).filter(Boolean))];
  byId(`side${team}`).append(
    element("h2", "", mine.map((hero) => hero.name).join(", ")),
    element("p", "", who.length ? who.join(", ") : team ? "Red" : "Blue"),
  );
}
const ending = packed.events[packed.events.length - 1];
const judged = heroes[packed.seat];
if (judged) {
  byId("result").textContent = `Look at ${judged.name} (${judged.team ? "red" : "blue"})`;
  byId("result").className = judged.team ? "red" : "blue";
} else {
  byId("result").textContent = `${ending.text} at ${timeOf(LAST)}`;
  byId("result").className = ending.team < 0 ? "muted" : ending.team ? "red" : "blue";
}
document.title = `${document.title} · simrl`;

heroes.forEach((hero, id) => {
  const option = element("option", "", `Follow ${hero.name}${teamSize > 1 || sameNames() ? ` (${hero.team ? "red" : "blue"})` : ""}`);
  option.value = String(id);
  byId("view").append(option);
});

function sameNames() {
  return new Set(heroes.map((hero) => hero.name)).size < heroes.length;
}

const cards = heroes.map(makeCard);
const charts = [
  makeChart(byId("curves"), "Gold difference", differenceSeries("gold_earned", "gold"), "difference", seek),
  makeChart(byId("curves"), "Experience difference", differenceSeries("xp_earned", "experience"), "difference", seek),
];
let mindCharts = [];

function showMind(hero) {
  byId("mindCurves").replaceChildren();
  mindCharts = [];
  if (hero.values) mindCharts.push(makeChart(byId("mindCurves"), "Value", valueSeries(hero), "lines", seek));
  if (hero.probs) mindCharts.push(makeChart(byId("mindCurves"), "Button probabilities", probSeries(hero), "stack", seek));
  mindCharts.forEach((chart) => chart.draw());
  state.stale = true;
}

heroes.forEach((hero, id) => {
  if (!hero.values && !hero.probs) return;
  byId("mind").hidden = false;
  const option = element("option", "", `${hero.name} (${hero.team ? "red" : "blue"})`);
  option.value = String(id);
  byId("who").append(option);
});
byId("who").addEventListener("change", (event) => showMind(heroes[Number(event.target.value)]));

const eventRows = packed.events.map((event) => {
  const mark = element("i", event.kind);
  mark.style.left = `${100 * event.frame / Math.max(1, LAST)}%`;
  mark.style.color = event.team < 0 ? tint.muted : tint.team[event.team];
  mark.title = `${timeOf(event.frame)} ${event.text}`;
  byId("marks").append(mark);
  const row = element("li"), button = element("button");
  button.type = "button";
  button.append(element("b", "", timeOf(event.frame)), element("span", event.team < 0 ? "" : event.team ? "red" : "blue", event.text));
  button.addEventListener("click", () => seek(event.frame));
  row.append(button);
  byId("events").append(row);
  return { event, button };
});

// Showing a moment.

function show() {
  const frame = Math.min(LAST, Math.floor(state.time));
  drawField(frame, state.time - frame, state.view, state.fog, state.snap);
  if (frame !== show.frame || state.stale) showFigures(frame);
  if (frame !== show.frame) tell("time");
  show.frame = frame;
  state.stale = state.snap = false;
  pointAgain();
}

function showFigures(frame) {
  write(byId("clock"), timeOf(frame));
  write(byId("when"), `${timeOf(frame)} / ${timeOf(LAST)}`);
  byId("time").value = String(frame);
  byId("time").setAttribute("aria-valuetext", timeOf(frame));
  for (const team of [0, 1]) write(byId(`kills${team}`), String(teamSum("kills", team, frame)));
  cards.forEach((card) => card(frame));
  [...charts, ...mindCharts].forEach((chart) => chart.show(frame));
  eventRows.forEach(({ event, button }) => button.classList.toggle("past", event.frame <= frame));
  const fresh = packed.events.filter((event) => event.frame <= frame && (frame - event.frame) * packed.seconds < NOTICE_SECONDS);
  write(byId("notice"), fresh.length ? fresh[fresh.length - 1].text : "");
}

let clockBefore = performance.now();
function tick(now) {
  const passed = Math.max(0, Math.min(0.25, (now - clockBefore) / 1000)); // a first frame may lie before the script
  clockBefore = now;
  if (state.playing) {
    state.time = Math.min(LAST, state.time + passed * state.speed / packed.seconds);
    if (state.time >= LAST) end(passed);
  }
  if (state.playing || state.stale || show.frame !== Math.floor(state.time)) show();
  requestAnimationFrame(tick);
}

/** Stop at the end; or, in a loop, let it be seen for a moment and start over. */
function end(passed) {
  if (!state.loop) {
    play(false);
    tell("end");
    return;
  }
  state.held += passed;
  if (state.held < LOOP_SECONDS) return;
  state.held = 0;
  seek(0);
}

// Pointing at things.

let pointer = null;
function pointAgain() {
  const tip = byId("tip");
  const near = pointer && shown
    .map((one) => ({ one, away: Math.hypot(one.px - pointer.x, one.py - pointer.y) }))
    .filter(({ one, away }) => away <= one.reach + 3)
    .sort((a, b) => a.away - b.away)[0];
  tip.hidden = !near;
  if (!near) return;
  write(tip, near.one.tell());
  tip.style.left = `${Math.max(0, Math.min(camera.width - tip.offsetWidth, near.one.px + 16))}px`;
  tip.style.top = `${Math.max(0, Math.min(camera.height - tip.offsetHeight, near.one.py + 12))}px`;
}
for (const kind of ["pointermove", "pointerdown"]) {
  canvas.addEventListener(kind, (event) => {
    pointer = { x: event.offsetX, y: event.offsetY };
    pointAgain();
  });
}
canvas.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "touch") return;
  pointer = null;
  pointAgain();
});

// Controls and keys.

byId("time").max = String(LAST);
byId("time").addEventListener("input", (event) => seek(Number(event.target.value)));
byId("play").addEventListener("click", () => play(!state.playing));
byId("previous").addEventListener("click", () => jump(-1));
byId("next").addEventListener("click", () => jump(1));
byId("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
byId("view").addEventListener("change", (event) => setView(Number(event.target.value)));
byId("fog").addEventListener("change", (event) => setFog(Number(event.target.value)));

const cycle = (value, count) => value + 1 >= count ? -1 : value + 1;
const faster = (way) => setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(state.speed) + way))]);
/** Move by whole decisions, at least one: half a decision would leave the picture where it is. */
const step = (way, event) => {
  const decisions = Math.max(1, Math.round((event.shiftKey ? 10 : 1) / packed.seconds + 1e-3));
  seek(Math.floor(state.time) + way * decisions);
};
const KEYS = {
  " ": () => play(!state.playing),
  ArrowLeft: (event) => step(-1, event),
  ArrowRight: (event) => step(1, event),
  ArrowUp: () => faster(1),
  ArrowDown: () => faster(-1),
  ",": () => seek(Math.ceil(state.time) - 1),
  ".": () => seek(Math.floor(state.time) + 1),
  Home: () => seek(0),
  End: () => seek(LAST),
  n: () => jump(1),
  p: () => jump(-1),
  v: () => setView(cycle(state.view, heroes.length)),
  f: () => setFog(cycle(state.fog, 2)),
};
addEventListener("keydown", (event) => {
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const tag = event.target.tagName;
  const busy = tag === "SELECT" || tag === "SUMMARY" || (tag === "BUTTON" && event.key === " ");
  if (!act || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event);
});

// Inside another page: `#embed` hides the controls, plays in a loop and obeys the page around it.
//
// It takes messages with any of {play: true, pause: true, seek: seconds, speed: factor, loop: boolean}
// and tells {simrl: "ready" | "time" | "end" | "key", time, duration, playing, key}, times in seconds.

function tell(what, more = {}) {
  if (!embedded || parent === window) return;
  const seconds = packed.seconds;
  parent.postMessage({ simrl: what, time: state.time * seconds, duration: LAST * seconds, playing: state.playing, ...more }, "*");
}

function obey(message) {
  if (typeof message !== "object" || message === null) return;
  const number = (value) => typeof value === "number" && Number.isFinite(value);
  if (number(message.speed) && message.speed > 0) setSpeed(message.speed);
  if (typeof message.loop === "boolean") state.loop = message.loop;
  if (number(message.seek)) seek(message.seek / packed.seconds);
  if (message.pause === true) play(false);
  else if (message.play === true) play(true);
}

if (embedded) {
  document.body.classList.add("embed");
  state.loop = true;
  addEventListener("message", (event) => { if (event.source === parent) obey(event.data); });
  // The keys are the outer page's, wherever the focus is.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    tell("key", { key: event.key });
  }, { capture: true });
}

function layOut() {
  sizeField();
  [...charts, ...mindCharts].forEach((chart) => chart.draw());
  Object.assign(state, { stale: true, snap: true });
}
addEventListener("resize", layOut);
if (judged) setView(packed.seat);
else if (innerWidth < 700) setView(0);
const thinker = heroes.findIndex((hero) => hero.values || hero.probs);
layOut();
if (thinker >= 0) showMind(heroes[thinker]);
show();
if (embedded) {
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  tell("ready");
}
requestAnimationFrame(tick);
