// Curves over the whole game, with a cursor at the moment that is shown.

const CHART_HEIGHT = 96;
const GROUP_COLORS = ["#f0c356", "#ff8fa3", "#7fd6c2", "#b79cf2", "#8fc7ff", "#c9d36a", "#ff9f5a", "#9aa7b4"];

/**
 * Build a chart.
 * series: {name, color, values, digits}; kind: "difference" (filled to zero in the sides' colours),
 * "lines" or "stack" (shares that sum to one).
 */
function makeChart(holder, title, series, kind, seek) {
  const box = element("div", "chart"), head = element("h3", "", title), sheet = element("canvas");
  const cursor = element("div", "cursor");
  const labels = series.map((one) => {
    const label = element("span");
    label.style.setProperty("--c", one.color);
    head.append(label);
    return label;
  });
  sheet.setAttribute("role", "img");
  sheet.setAttribute("aria-label", `${title} over the game; click to go to a moment`);
  box.append(head, sheet, cursor);
  holder.append(box);
  const at = (event) => {
    const frame = sheet.getBoundingClientRect();
    seek(Math.round(LAST * Math.max(0, Math.min(1, (event.clientX - frame.left) / frame.width))));
  };
  sheet.addEventListener("pointerdown", (event) => {
    sheet.setPointerCapture(event.pointerId);
    at(event);
  });
  sheet.addEventListener("pointermove", (event) => { if (event.buttons) at(event); });
  return {
    draw: () => drawChart(sheet, series, kind),
    show: (frame) => {
      cursor.style.left = `${100 * frame / Math.max(1, LAST)}%`;
      series.forEach((one, k) => {
        const value = one.values[Math.min(frame, one.values.length - 1)];
        write(labels[k], one.tell ? one.tell(value) : `${one.name} ${value.toFixed(one.digits ?? 2)}`);
      });
    },
  };
}

function drawChart(sheet, series, kind) {
  const ratio = window.devicePixelRatio || 1, width = sheet.clientWidth;
  sheet.width = Math.round(width * ratio);
  sheet.height = CHART_HEIGHT * ratio;
  const ink = sheet.getContext("2d");
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  const count = series[0].values.length;
  const sample = Math.max(1, Math.floor(count / Math.max(1, 2 * width)));
  const x = (t) => width * t / Math.max(1, count - 1);
  if (kind === "stack") drawStack(ink, series, x, sample);
  else drawLines(ink, series, kind, x, sample, width);
  drawMinutes(ink, width);
}

function drawStack(ink, series, x, sample) {
  const count = series[0].values.length, floor = new Float32Array(count);
  for (const one of series) {
    ink.beginPath();
    for (let t = 0; t < count; t += sample) ink.lineTo(x(t), CHART_HEIGHT * (1 - floor[t]));
    for (let t = 0; t < count; t++) floor[t] += one.values[t];
    for (let t = count - 1 - (count - 1) % sample; t >= 0; t -= sample) ink.lineTo(x(t), CHART_HEIGHT * (1 - floor[t]));
    ink.fillStyle = one.color;
    ink.fill();
  }
}

function drawLines(ink, series, kind, x, sample, width) {
  let low = 0, high = 0;
  for (const one of series) for (const v of one.values) { low = Math.min(low, v); high = Math.max(high, v); }
  if (kind === "difference") { high = Math.max(high, -low, 1); low = -high; }
  if (high - low < 1e-6) high = low + 1;
  const pad = 8, y = (v) => pad + (CHART_HEIGHT - 2 * pad) * (high - v) / (high - low);
  ink.strokeStyle = "#ffffff38";
  ink.beginPath();
  ink.moveTo(0, y(0));
  ink.lineTo(width, y(0));
  ink.stroke();
  for (const one of series) {
    ink.beginPath();
    for (let t = 0; t < one.values.length; t += sample) ink.lineTo(x(t), y(one.values[t]));
    ink.lineWidth = one.bold ? 2.2 : 1.3;
    ink.strokeStyle = one.color;
    ink.lineJoin = "round";
    if (kind === "difference") fillSides(ink, x(one.values.length - 1), y(0), width);
    else ink.stroke();
  }
  ink.font = "11px system-ui, sans-serif";
  const digits = high - low > 20 ? 0 : 1;
  const sides = kind === "difference";
  outlined(ink, sides ? `Blue +${high.toFixed(digits)}` : high.toFixed(digits), 4, 12, sides ? tint.team[0] : "#a3b0bd");
  outlined(ink, sides ? `Red +${high.toFixed(digits)}` : low.toFixed(digits), 4, CHART_HEIGHT - 4, sides ? tint.team[1] : "#a3b0bd");
}

/** Fill the path to the zero line: blue above it, red below. */
function fillSides(ink, right, zero, width) {
  ink.lineTo(right, zero);
  ink.lineTo(0, zero);
  ink.closePath();
  [[0, zero, tint.team[0]], [zero, CHART_HEIGHT - zero, tint.team[1]]].forEach(([top, height, color]) => {
    ink.save();
    const shape = new Path2D();
    shape.rect(0, top, width, height);
    ink.fillStyle = ink.strokeStyle = color;
    ink.clip(shape);
    ink.globalAlpha = 0.55;
    ink.fill();
    ink.globalAlpha = 1;
    ink.stroke();
    ink.restore();
  });
}

function drawMinutes(ink, width) {
  const total = LAST * packed.seconds, step = total > 480 ? 120 : total > 90 ? 60 : 10;
  ink.font = "10px system-ui, sans-serif";
  for (let s = step; s < total; s += step) {
    const x = width * s / total;
    ink.strokeStyle = "#ffffff1c";
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(x, 0);
    ink.lineTo(x, CHART_HEIGHT);
    ink.stroke();
    if (x > 70 && x < width - 28) outlined(ink, clockText(s), x + 3, CHART_HEIGHT - 4, "#d3dbe3");
  }
}

/** Write letters with a dark edge: they stay readable over any colour. */
function outlined(ink, text, x, y, color) {
  ink.lineWidth = 3;
  ink.lineJoin = "round";
  ink.strokeStyle = "#10161c";
  ink.strokeText(text, x, y);
  ink.fillStyle = color;
  ink.fillText(text, x, y);
}

function differenceSeries(field, noun) {
  const values = new Float32Array(packed.frames);
  for (let t = 0; t <= LAST; t++) values[t] = teamSum(field, 0, t) - teamSum(field, 1, t);
  const tell = (v) => Math.abs(v) < 0.5 ? "even" : `${v > 0 ? "Blue" : "Red"} +${Math.abs(v).toFixed(0)} ${noun}`;
  return [{ name: noun, color: "#c8d2dc", values, tell }];
}

/** Return the value curves of a hero: their sum in bold, then each group. */
function valueSeries(hero) {
  const groups = hero.values.map((values, k) => ({
    name: packed.valueNames[k] || `value ${k + 1}`, color: GROUP_COLORS[k % GROUP_COLORS.length], values,
  }));
  if (groups.length === 1) return [{ ...groups[0], bold: true }];
  const sum = new Float32Array(LAST);
  for (const { values } of groups) values.forEach((v, t) => { sum[t] += v; });
  return [{ name: "sum", color: "#ffffff", values: sum, bold: true }, ...groups];
}

function probSeries(hero) {
  return hero.probs.map((values, k) => ({
    name: buttonName(hero, k), color: BUTTON_COLORS[k], values,
    tell: (v) => `${buttonName(hero, k)} ${Math.round(100 * v)}%`,
  }));
}
