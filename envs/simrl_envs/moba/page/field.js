// Draw the field on its canvas.

const KIND = { hero: 0, melee: 1, ranged: 2, siege: 3, tower: 4, crystal: 5 };
const KIND_NAMES = ["hero", "melee creep", "ranged creep", "siege creep", "tower", "crystal"];
const tint = packed.colors;
const canvas = document.getElementById("field");
const pen = canvas.getContext("2d");
const fogSheet = document.createElement("canvas");
const camera = { x: 0, y: 0, scale: 8, width: 0, height: 0, ratio: 1 };
const embedded = location.hash.slice(1).split("&").includes("embed"); // shown inside another page
let shown = []; // what can be pointed at: {px, py, reach, tell}

function alpha(color, opacity) {
  return color + Math.round(255 * opacity).toString(16).padStart(2, "0");
}

/** Fit the canvas to its column and the screen's real pixels. */
function sizeField() {
  const width = canvas.parentElement.clientWidth;
  const shape = packed.map.halfHeight / packed.map.halfWidth;
  const height = embedded ? Math.max(80, innerHeight - canvas.parentElement.offsetTop)
    : Math.round(Math.min(Math.max(width * shape, 250), innerHeight * 0.62));
  const ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  for (const sheet of [canvas, fogSheet]) {
    sheet.width = Math.round(width * ratio);
    sheet.height = Math.round(height * ratio);
  }
  Object.assign(camera, { width, height, ratio });
}

/** Point the camera: the whole field, or a window around a hero that moves softly with it. */
function aim(view, frame, share, snap) {
  const { halfWidth, halfHeight } = packed.map;
  if (view < 0) {
    camera.scale = Math.min(camera.width / (2 * halfWidth), camera.height / (2 * halfHeight));
    camera.x = camera.y = 0;
    return;
  }
  const hero = heroes[view];
  const [x, y] = between(hero.x, hero.y, frame, share);
  camera.scale = Math.max(camera.width / 48, camera.height / 26);
  const spanX = camera.width / 2 / camera.scale, spanY = camera.height / 2 / camera.scale;
  const clamp = (v, limit) => Math.max(-Math.max(0, limit), Math.min(Math.max(0, limit), v));
  const goalX = clamp(x, halfWidth - spanX), goalY = clamp(y, halfHeight - spanY);
  const far = Math.hypot(goalX - camera.x, goalY - camera.y) > 25;
  const pull = snap || far ? 1 : 0.15;
  camera.x += (goalX - camera.x) * pull;
  camera.y += (goalY - camera.y) * pull;
}

const px = (x) => camera.width / 2 + (x - camera.x) * camera.scale;
const py = (y) => camera.height / 2 - (y - camera.y) * camera.scale;
const bigger = () => Math.min(1.7, Math.max(0.75, camera.scale / 9)); // marks grow with the zoom

function disc(x, y, radius, fill, stroke, width = 1) {
  pen.beginPath();
  pen.arc(x, y, Math.max(0.1, radius), 0, 2 * Math.PI);
  if (fill) { pen.fillStyle = fill; pen.fill(); }
  if (stroke) { pen.strokeStyle = stroke; pen.lineWidth = width; pen.stroke(); }
}

function line(x0, y0, x1, y1, color, width = 1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.stroke();
}

function polygon(x, y, size, corners, fill, stroke, width = 1) {
  pen.beginPath();
  for (const [cx, cy] of corners) pen.lineTo(x + cx * size, y + cy * size);
  pen.closePath();
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = stroke;
  pen.lineWidth = width;
  pen.stroke();
}

function bar(x, y, half, height, share, color) {
  pen.fillStyle = tint.hp_back;
  pen.fillRect(x - half - 1, y - 1, 2 * half + 2, height + 2);
  pen.fillStyle = color;
  pen.fillRect(x - half, y, 2 * half * Math.max(0, Math.min(1, share)), height);
}

const SQUARE = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
const TRIANGLE = [[0, -1.25], [1.15, 0.9], [-1.15, 0.9]];
const DIAMOND = [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]];
const HEXAGON = [0, 1, 2, 3, 4, 5].map((k) => [Math.sin(Math.PI * k / 3), -Math.cos(Math.PI * k / 3)]);
const CREEP_SHAPES = { 1: [SQUARE, 4], 2: [TRIANGLE, 4.8], 3: [DIAMOND, 6] };

function drawGround() {
  const { halfWidth, halfHeight } = packed.map;
  pen.fillStyle = tint.panel;
  pen.fillRect(0, 0, camera.width, camera.height);
  pen.fillStyle = tint.ground;
  pen.fillRect(px(-halfWidth), py(halfHeight), 2 * halfWidth * camera.scale, 2 * halfHeight * camera.scale);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = tint.lane;
  pen.lineWidth = 6 * camera.scale;
  for (const lane of packed.map.lanes) {
    pen.beginPath();
    for (const [x, y] of lane) pen.lineTo(px(x), py(y));
    pen.stroke();
  }
  const [fx, fy] = packed.map.fountain;
  for (const team of [0, 1]) {
    const sign = team ? -1 : 1, color = tint.team[team];
    disc(px(sign * fx), py(sign * fy), packed.map.fountainRadius * camera.scale, alpha(color, 0.14), alpha(color, 0.5), 1.5);
  }
  packed.map.brushes.forEach(drawBrush);
}

function drawBrush([x, y, halfWidth, halfHeight]) {
  pen.fillStyle = tint.brush;
  pen.beginPath();
  pen.roundRect(px(x - halfWidth), py(y + halfHeight), 2 * halfWidth * camera.scale, 2 * halfHeight * camera.scale, 0.8 * camera.scale);
  pen.fill();
  for (let column = 0; column < 2 * halfWidth; column++) {
    for (let row = 0; row < 2 * halfHeight - 1; row += 1.5) {
      const gx = x - halfWidth + 0.5 + column, gy = y - halfHeight + 0.6 + row + (column % 2) * 0.6;
      if (gy < y + halfHeight - 0.6) line(px(gx), py(gy), px(gx + 0.25), py(gy + 0.7), "#6fae8490", 1.3);
    }
  }
}

/** Darken what a team does not see: cut its sight out of a dark sheet. */
function drawFog(team, frame, share) {
  const sheet = fogSheet.getContext("2d");
  sheet.setTransform(camera.ratio, 0, 0, camera.ratio, 0, 0);
  sheet.globalCompositeOperation = "copy";
  sheet.fillStyle = alpha(tint.fog, 0.62);
  sheet.fillRect(0, 0, camera.width, camera.height);
  sheet.globalCompositeOperation = "destination-out";
  const cut = (x, y, kind) => {
    const radius = packed.map.sight[kind] * camera.scale;
    const fade = sheet.createRadialGradient(px(x), py(y), radius * 0.9, px(x), py(y), radius);
    fade.addColorStop(0, "#000");
    fade.addColorStop(1, "#0000");
    sheet.fillStyle = fade;
    sheet.beginPath();
    sheet.arc(px(x), py(y), radius, 0, 2 * Math.PI);
    sheet.fill();
  };
  for (const hero of heroes) {
    if (hero.team === team && hero.alive[frame]) cut(...between(hero.x, hero.y, frame, share), KIND.hero);
  }
  for (const creep of creepsAt[frame]) {
    if (creep.team === team) cut(...between(creep.x, creep.y, frame - creep.first, share), creep.kind);
  }
  for (const s of structures) if (s.team === team && s.hp[frame] > 0) cut(s.x, s.y, s.kind);
  pen.drawImage(fogSheet, 0, 0, camera.width, camera.height);
}

/** Whether a point lies within a team's sight (brush left aside). */
function inSight(team, x, y, frame) {
  const near = (ux, uy, kind) => Math.hypot(ux - x, uy - y) <= packed.map.sight[kind];
  return heroes.some((h) => h.team === team && h.alive[frame] && near(h.x[frame], h.y[frame], KIND.hero))
    || creepsAt[frame].some((c) => c.team === team && near(c.x[frame - c.first], c.y[frame - c.first], c.kind))
    || structures.some((s) => s.team === team && s.hp[frame] > 0 && near(s.x, s.y, s.kind));
}

function drawZones(frame, share, fog) {
  for (const zone of zonesAt[frame]) {
    const n = frame - zone.first;
    const [x, y] = between(zone.x, zone.y, n, share);
    if (fog >= 0 && fog !== zone.team && !inSight(fog, x, y, frame)) continue;
    const color = tint.team[zone.team], radius = zone.radius * camera.scale;
    disc(px(x), py(y), radius, alpha(color, 0.2), alpha(color, 0.9), 1.5);
    const wait = Math.max(0, zone.wait[n] - share * packed.seconds);
    disc(px(x), py(y), radius / (1 + 2 * wait), null, alpha(color, 0.6), 1); // closes in on the pulse
  }
}

function drawShots(frame, share, fog) {
  const size = bigger();
  for (const shot of shotsAt[frame]) {
    const n = frame - shot.first;
    let [x, y] = between(shot.x, shot.y, n, share);
    if (n === shot.count - 1 && shot.count === 1) { x += shot.vx * share; y += shot.vy * share; }
    if (fog >= 0 && fog !== shot.team && !inSight(fog, x, y, frame)) continue;
    const next = Math.min(n + 1, shot.count - 1), before = Math.max(0, next - 1);
    let dx = shot.x[next] - shot.x[before] || shot.vx, dy = shot.y[next] - shot.y[before] || shot.vy;
    const length = Math.hypot(dx, dy) || 1, tail = shot.skill >= 0 ? 1.5 : 0.8;
    const color = tint.team[shot.team];
    line(px(x - dx / length * tail), py(y - dy / length * tail), px(x), py(y), alpha(color, 0.7), (shot.skill >= 0 ? 3.5 : 1.8) * size);
    disc(px(x), py(y), (shot.skill >= 0 ? 3.6 : 2) * size, tint.text, color, 1);
  }
}

function drawRelics(frame) {
  packed.map.relics.forEach(([x, y], k) => {
    const ready = relicsAt[k][frame], color = alpha(tint.relic, ready ? 1 : 0.3), size = 4 * bigger();
    disc(px(x), py(y), 1.8 * size, null, color, 1.2);
    if (!ready) return;
    line(px(x) - size, py(y), px(x) + size, py(y), color, 2.2);
    line(px(x), py(y) - size, px(x), py(y) + size, color, 2.2);
  });
}

function drawStructures(frame) {
  for (const s of structures) {
    const x = px(s.x), y = py(s.y), color = tint.team[s.team], dark = tint.teamDark[s.team], size = bigger();
    if (s.hp[frame] <= 0) {
      disc(x, y, 6 * size, alpha(dark, 0.5), alpha(color, 0.35), 1);
      continue;
    }
    if (s.kind === KIND.tower) {
      polygon(x, y, 12 * size, HEXAGON, color, dark, 2);
      disc(x, y, 4.5 * size, dark);
    } else {
      polygon(x, y, 12 * size, DIAMOND, color, dark, 2);
      polygon(x, y, 6.5 * size, DIAMOND, tint.text, dark, 1);
    }
    bar(x, y - 22 * size, 17 * size, 4, s.hp[frame] / s.max, tint.hp);
    shown.push({ px: x, py: y, reach: 14 * size, tell: () =>
      `${s.team ? "Red" : "Blue"}'s ${KIND_NAMES[s.kind]}\n${Math.round(s.hp[frame])} of ${s.max} hit points` });
  }
}

/** Lines of danger: whom towers shoot at, and which creeps chase a hero. */
function drawHunts(frame, share, fog) {
  const heroAt = (id) => between(heroes[id].x, heroes[id].y, frame, share);
  const visible = (id) => heroes[id].alive[frame] && (fog < 0 || heroes[id].team === fog || heroes[id].visible[frame] & (1 << fog));
  for (const s of structures) {
    const id = s.target[frame];
    if (s.hp[frame] > 0 && id >= 0 && id < heroes.length && visible(id)) {
      const [x, y] = heroAt(id);
      line(px(s.x), py(s.y), px(x), py(y), alpha(tint.team[s.team], 0.85), 1.5);
    }
  }
  for (const creep of creepsAt[frame]) {
    const id = creep.hunts[frame - creep.first];
    if (id < 0 || !visible(id) || !creepSeen(creep, frame, fog)) continue;
    const [x, y] = heroAt(id), [cx, cy] = between(creep.x, creep.y, frame - creep.first, share);
    line(px(cx), py(cy), px(x), py(y), alpha(tint.team[creep.team], 0.4), 1);
  }
}

const creepSeen = (creep, frame, fog) =>
  fog < 0 || creep.team === fog || creep.seen[frame - creep.first] & (1 << fog);

function drawCreeps(frame, share, fog) {
  const size = bigger();
  for (const creep of creepsAt[frame]) {
    if (!creepSeen(creep, frame, fog)) continue;
    const n = frame - creep.first, [wx, wy] = between(creep.x, creep.y, n, share);
    const x = px(wx), y = py(wy), [corners, radius] = CREEP_SHAPES[creep.kind];
    polygon(x, y, radius * size, corners, tint.team[creep.team], "#0a0e12", 1.2);
    if (creep.hp[n] < creep.max) bar(x, y - 10 * size, 6 * size, 2, creep.hp[n] / creep.max, tint.team[creep.team]);
    shown.push({ px: x, py: y, reach: 8 * size, tell: () =>
      `${creep.team ? "Red" : "Blue"} ${KIND_NAMES[creep.kind]}\n${Math.round(creep.hp[n])} of ${creep.max} hit points` });
  }
}

function statusesOf(hero, frame) {
  return packed.statuses.filter((_, bit) => hero.status[frame] >> bit & 1);
}

function drawHeroes(frame, share, fog) {
  const size = bigger(), radius = 11 * size;
  for (const { hero, x, y, lift } of placeHeroes(frame, share, fog, size)) {
    const on = statusesOf(hero, frame);
    disc(x, y, radius + 1.5, "#0a0e12");
    disc(x, y, radius, tint.team[hero.team], tint.teamDark[hero.team], 2);
    if (hero === heroes[packed.seat]) disc(x, y, radius + 7, null, tint.gold, 3);
    if (on.includes("shield")) disc(x, y, radius + 4, null, tint.status.shield, 1.8);
    if (on.includes("stun")) disc(x, y, radius + 1.5, null, tint.status.stun, 3);
    if (on.includes("recall")) drawRecall(hero, frame, x, y, radius + 7);
    pen.font = `700 ${Math.round(11 * size)}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = "#0a0e12";
    pen.fillText(hero.label, x, y + 0.5);
    drawHeroBars(hero, frame, x, y - lift, size);
    drawCast(hero, frame, x, hero.team ? y + 34 * size : y - lift - 34 * size, size);
    const dots = on.filter((name) => name !== "shield" && name !== "recall");
    dots.forEach((name, k) => disc(x + (k - (dots.length - 1) / 2) * 8 * size, y + radius + 7, 3 * size, tint.status[name], "#0a0e12", 1));
    shown.push({ px: x, py: y, reach: radius + 4, tell: () => heroTip(hero, frame, on) });
  }
}

/**
 * Place the heroes that are seen. Those that cover each other are moved apart a little, and bars
 * that would cover others are lifted.
 */
function placeHeroes(frame, share, fog, size) {
  const placed = [], radius = 11 * size;
  for (const hero of heroes) {
    const hidden = fog >= 0 && hero.team !== fog && !(hero.visible[frame] & (1 << fog));
    if (!hero.alive[frame] || hidden) continue;
    const [x, y] = between(hero.x, hero.y, frame, share);
    placed.push({ hero, x: px(x), y: py(y), lift: 0 });
  }
  for (const a of placed) {
    for (const b of placed) {
      const gap = Math.hypot(a.x - b.x, a.y - b.y), lack = 1.9 * radius - gap;
      if (a.hero.team >= b.hero.team || lack <= 0) continue;
      const ux = gap > 0.5 ? (b.x - a.x) / gap : 1, uy = gap > 0.5 ? (b.y - a.y) / gap : 0;
      a.x -= ux * lack / 2; a.y -= uy * lack / 2;
      b.x += ux * lack / 2; b.y += uy * lack / 2;
    }
  }
  const covers = (a, b) => Math.abs(a.x - b.x) < 50 * size && Math.abs(a.y - a.lift - b.y + b.lift) < 13 * size;
  for (let k = placed.length - 2; k >= 0; k--) {
    const later = placed.slice(k + 1);
    while (later.some((other) => covers(placed[k], other))) placed[k].lift += 4 * size;
  }
  return placed;
}

/** Name the skill that a hero has just used. */
function drawCast(hero, frame, x, y, size) {
  const since = Math.ceil(0.9 / packed.seconds);
  for (let t = frame - 1; t >= Math.max(0, frame - since); t--) {
    const skill = hero.buttons[t] - 3;
    if (skill < 0 || skill > 2 || hero.skills_cast[t + 1] === hero.skills_cast[t]) continue;
    pen.font = `600 ${Math.round(12 * size)}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.strokeStyle = "#0a0e12";
    pen.lineWidth = 3;
    pen.strokeText(hero.skills[skill], x, y);
    pen.fillStyle = tint.gold;
    pen.fillText(hero.skills[skill], x, y);
    return;
  }
}

function drawRecall(hero, frame, x, y, radius) {
  const share = 1 - hero.recall[frame] / packed.map.recall;
  pen.beginPath();
  pen.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * share);
  pen.strokeStyle = tint.status.recall;
  pen.lineWidth = 2.5;
  pen.stroke();
}

function drawHeroBars(hero, frame, x, y, size) {
  const half = 18 * size, top = y - 25 * size;
  const whole = Math.max(hero.max_hp[frame], hero.hp[frame] + hero.shield[frame]);
  bar(x, top, half, 5 * size, hero.hp[frame] / whole, tint.hp);
  if (hero.shield[frame] > 0) {
    pen.fillStyle = tint.status.shield;
    pen.fillRect(x - half + 2 * half * hero.hp[frame] / whole, top, 2 * half * hero.shield[frame] / whole, 5 * size);
  }
  bar(x, top + 6 * size, half, 2.5 * size, hero.mana[frame] / Math.max(1, hero.max_mana[frame]), tint.mana);
  pen.font = `600 ${Math.round(11 * size)}px system-ui, sans-serif`;
  pen.textAlign = "right";
  pen.strokeStyle = "#0a0e12";
  pen.lineWidth = 3;
  pen.strokeText(hero.level[frame], x - half - 4, top + 4 * size);
  pen.fillStyle = tint.text;
  pen.fillText(hero.level[frame], x - half - 4, top + 4 * size);
}

function heroTip(hero, frame, on) {
  const lines = [
    `${hero.name} (${hero.role}), level ${hero.level[frame]}`,
    `${Math.round(hero.hp[frame])} of ${hero.max_hp[frame]} hit points`,
    `${Math.round(hero.mana[frame])} of ${hero.max_mana[frame]} mana`,
    packed.words[hero.orders[Math.min(frame, LAST - 1)]] || "",
  ];
  return lines.concat(on.length ? [on.join(", ")] : []).join("\n");
}

/** Draw one moment: `frame` and the share of the way to the next. */
function drawField(frame, share, view, fog, snap) {
  pen.setTransform(camera.ratio, 0, 0, camera.ratio, 0, 0);
  aim(view, frame, share, snap);
  shown = [];
  drawGround();
  drawRelics(frame);
  drawStructures(frame);
  if (fog >= 0) drawFog(fog, frame, share);
  drawZones(frame, share, fog);
  drawHunts(frame, share, fog);
  drawCreeps(frame, share, fog);
  drawShots(frame, share, fog);
  drawHeroes(frame, share, fog);
}
