// Read the packed replay: columns become typed arrays, tracks are filed by frame.

const packed = JSON.parse(document.getElementById("replay").textContent);
const LAST = packed.frames - 1;
const JUMP = 4; // metres in one decision beyond which a unit is moved, not slid (blink, recall)

/** Undo `column` of columns.py: running sums of the changes, or one number for all. */
function unpack(column, length, scale = 1) {
  const out = new Float32Array(length);
  if (typeof column === "number") return out.fill(column / scale);
  let sum = 0;
  for (let i = 0; i < length; i++) out[i] = (sum += column[i]) / scale;
  return out;
}

/** Undo `runs` of columns.py: value, count, value, count, ... */
function unroll(pairs) {
  const out = [];
  for (let k = 0; k < pairs.length; k += 2) {
    for (let n = 0; n < pairs[k + 1]; n++) out.push(pairs[k]);
  }
  return Int16Array.from(out);
}

function readHero(hero) {
  const length = packed.frames;
  const out = { ...hero };
  for (const [name, column] of Object.entries(hero.columns)) {
    const scale = name === "x" || name === "y" ? packed.grain
      : name === "respawn" || name === "recall" ? 10 : 1;
    out[name] = unpack(column, length, scale);
  }
  out.cooldowns = hero.cooldowns.map((column) => unpack(column, length, 10));
  out.orders = unroll(hero.orders);
  out.buttons = unroll(hero.buttons);
  const figures = (list, scale) => list && list.map((column) => unpack(column, LAST, scale));
  out.values = figures(hero.values, 1000);
  out.probs = figures(hero.probs, 100);
  return out;
}

function readTrack(track) {
  const out = { ...track, x: unpack(track.x, track.count, packed.grain) };
  out.y = unpack(track.y, track.count, packed.grain);
  if ("hp" in track) out.hp = unpack(track.hp, track.count);
  if ("wait" in track) out.wait = unpack(track.wait, track.count, 100);
  if (track.seen) out.seen = unroll(track.seen);
  if (track.hunts) out.hunts = unroll(track.hunts);
  return out;
}

/** File tracks under every frame in which they live. */
function byFrame(tracks) {
  const frames = Array.from({ length: packed.frames }, () => []);
  for (const track of tracks) {
    for (let n = 0; n < track.count; n++) frames[track.first + n].push(track);
  }
  return frames;
}

const heroes = packed.heroes.map(readHero);
const structures = packed.structures.map((s) => ({
  ...s, hp: unpack(s.hp, packed.frames), target: unroll(s.target),
}));
const creepsAt = byFrame(packed.creeps.map(readTrack));
const shotsAt = byFrame(packed.shots.map(readTrack));
const zonesAt = byFrame(packed.zones.map(readTrack));
const relicsAt = packed.relics.map(unroll);
const teamSize = heroes.length / 2;

/** Return a place between two decisions: slid, or held where the unit was moved at once. */
function between(x, y, index, share) {
  const next = Math.min(index + 1, x.length - 1);
  const dx = x[next] - x[index], dy = y[next] - y[index];
  if (Math.abs(dx) > JUMP || Math.abs(dy) > JUMP) return [x[index], y[index]];
  return [x[index] + share * dx, y[index] + share * dy];
}

/** Sum a hero column over a team at a frame. */
function teamSum(name, team, frame) {
  let sum = 0;
  for (const hero of heroes) if (hero.team === team) sum += hero[name][frame];
  return sum;
}

function clockText(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

const timeOf = (frame) => clockText(frame * packed.seconds);
