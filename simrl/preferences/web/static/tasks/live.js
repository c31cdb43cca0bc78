// The agent plays; the person says at each moment whether that was good or bad.

import { element, randomKey, write } from "../dom.js";
import { flash, LiveView } from "../live.js";

export function setup({ root, task, stored, say, broken }) {
  const tally = root.querySelector("[data-tally]");
  const done = root.querySelector("[data-done]");
  const figure = element("figure", "clip");
  const screen = element("div", "screen");
  const hint = element("p", "hint", "Connecting…");
  const badge = element("p", "badge", "");
  screen.append(hint, badge);
  figure.append(screen);
  task.layer.append(figure);
  let up = 0, down = 0, ready = false, begun = false;
  const view = new LiveView(screen, task.lease, randomKey(), {
    ready(message) {
      ready = true;
      write(hint, "Press P or Enter to start. Then say + or − whenever you like or dislike what the agent does.");
      write(done, "Start");
      say(`${message.env} is ready.`);
    },
    state(message) {
      hint.hidden = begun && message.paused === false;
      if (begun && message.paused) write(hint, "Paused. P goes on.");
    },
    frame(header) {
      write(badge, `${header.time.toFixed(1)} s`); // the task's own reward would sway the person
    },
    feedback() {
      write(tally, `${up} good, ${down} bad so far.`);
    },
    error: (message) => say(message.message, true),
    done(message) {
      if (!message.value) write(hint, "Nothing was kept. You may skip this one.");
      hint.hidden = Boolean(message.value);
    },
    stored: (message) => stored(message, `Feedback sent: ${up} good, ${down} bad`),
    async lost(reason) {
      if (await broken(task)) return;
      hint.hidden = false;
      write(hint, `${reason} Load the page again to start anew, or skip this one.`);
    },
  });

  function judge(value) {
    if (!begun) return run(true);
    if (value > 0) up += 1;
    else down += 1;
    view.feedback(value);
    flash(screen, value);
    return undefined;
  }
  function run(on) {
    if (!ready) return;
    begun ||= on;
    if (begun) done.replaceChildren("Finish", element("kbd", "", "Enter"));
    view.send({ pause: !on });
  }
  const toggle = () => run(!view.running);
  const finish = () => (begun ? view.send({ submit: true }) : run(true));

  for (const button of root.querySelectorAll("[data-feedback]")) {
    button.addEventListener("click", () => judge(Number(button.dataset.feedback)));
  }
  screen.addEventListener("click", toggle);
  done.addEventListener("click", finish);
  return {
    manual: true,
    keys: {
      "+": () => judge(1), "=": () => judge(1), ArrowUp: () => judge(1),
      "-": () => judge(-1), ArrowDown: () => judge(-1),
      p: toggle, " ": toggle, Enter: finish,
      "[": () => view.send({ speed: 0.5 }), "]": () => view.send({ speed: 1 }),
    },
    help: [["↑ +", "good"], ["↓ −", "bad"], ["P", "pause, go on"], ["[ ]", "half speed, full speed"], ["Enter", "start, finish"]],
    stop() {
      view.destroy();
      figure.remove();
    },
  };
}
