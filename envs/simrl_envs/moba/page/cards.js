// The heroes' cards: figures, skills, items, order, and what the agent leaned towards.

const BUTTON_COLORS = ["#6b7885", "#4fb3a5", "#ff9f5a", "#b79cf2", "#d77fd0", "#8f8cf7", "#8fc7ff", "#f0c356"];

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Write only what changed: the page stays still for eyes and screen readers. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function makeMeter(card, kind) {
  const meter = element("div", `meter ${kind}`);
  const fill = element("i"), label = element("b");
  meter.append(fill, label);
  card.append(meter);
  return (value, whole, name) => {
    fill.style.width = `${Math.min(100, 100 * value / Math.max(1, whole))}%`;
    write(label, `${Math.round(value)} / ${Math.round(whole)} ${name}`);
  };
}

function makeFacts(card, names) {
  const list = element("dl", "facts");
  const cells = names.map((name) => {
    const box = element("div"), value = element("dd");
    box.append(element("dt", "", name), value);
    list.append(box);
    return value;
  });
  card.append(list);
  return (values) => values.forEach((value, k) => write(cells[k], String(value)));
}

function makeSkills(card, hero) {
  const list = element("ul", "skills");
  const rows = hero.skills.map((name) => {
    const row = element("li"), state = element("b");
    row.title = name;
    row.append(element("span", "", name), state);
    list.append(row);
    return { row, state };
  });
  card.append(list);
  return (frame) => rows.forEach(({ row, state }, k) => {
    const left = hero.cooldowns[k][frame];
    row.classList.toggle("wait", left > 0);
    write(state, left > 0 ? `${left < 10 ? left.toFixed(1) : left.toFixed(0)} s` : "ready");
  });
}

function makeProbs(card, hero) {
  if (!hero.probs) return () => {};
  const list = element("div", "probs");
  list.setAttribute("aria-label", "Probability of each button");
  const rows = packed.buttons.map((name, k) => {
    const label = element("span", "name", buttonName(hero, k)), fill = element("i"), num = element("span", "num");
    label.title = label.textContent;
    label.style.cssText = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap";
    fill.style.background = BUTTON_COLORS[k];
    const holder = element("span");
    holder.append(fill);
    list.append(label, holder, num);
    return { label, fill, num };
  });
  card.append(list);
  return (frame) => rows.forEach(({ label, fill, num }, k) => {
    const step = Math.min(frame, LAST - 1), share = hero.probs[k][step];
    fill.style.width = `${100 * share}%`;
    write(num, `${Math.round(100 * share)}%`);
    label.classList.toggle("chosen", hero.buttons[step] === k);
  });
}

function buttonName(hero, button) {
  const name = packed.buttons[button];
  return name.startsWith("skill") ? hero.skills[Number(name.slice(5)) - 1] : name[0].toUpperCase() + name.slice(1);
}

function makeMarks(card) {
  const box = element("div", "marks");
  card.append(box);
  let before = "";
  return (names) => {
    if (names.join() === before) return;
    before = names.join();
    box.replaceChildren(...names.map((name) => {
      const mark = element("span", "", name);
      mark.style.background = tint.status[name];
      return mark;
    }));
  };
}

/** Build a hero's card and return the function that brings it to a frame. */
function makeCard(hero) {
  const card = element("article", "card"), title = element("h3", "", hero.name), level = element("span");
  title.append(level);
  card.append(title);
  const hp = makeMeter(card, "hp"), mana = makeMeter(card, "mana");
  const order = element("p", "order");
  card.append(order);
  const marks = makeMarks(card);
  const facts = makeFacts(card, ["K / D / A", "Creeps", "Earned", "Purse"]);
  const skills = makeSkills(card, hero);
  const items = element("p", "line");
  card.append(items);
  const probs = makeProbs(card, hero);
  document.getElementById(`cards${hero.team}`).append(card);
  return (frame) => {
    const alive = hero.alive[frame];
    card.classList.toggle("dead", !alive);
    write(level, `${hero.role} · level ${hero.level[frame]}`);
    hp(alive ? hero.hp[frame] : 0, hero.max_hp[frame], "hit points");
    mana(hero.mana[frame], hero.max_mana[frame], "mana");
    const word = packed.words[hero.orders[Math.min(frame, LAST - 1)]] || "";
    write(order, alive ? word : `Back in ${hero.respawn[frame].toFixed(0)} s`);
    marks(statusesOf(hero, frame));
    const score = `${hero.kills[frame]} / ${hero.deaths[frame]} / ${hero.assists[frame]}`;
    facts([score, hero.last_hits[frame], hero.gold_earned[frame], hero.gold[frame]]);
    skills(frame);
    write(items, itemText(hero, frame));
    probs(frame);
  };
}

function itemText(hero, frame) {
  let held = [];
  for (const [start, items] of hero.items) if (start <= frame) held = items;
  return held.length ? held.map((item) => packed.items[item]).join(", ") : "No items yet";
}
