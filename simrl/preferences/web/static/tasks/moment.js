// One clip: at which moment does it go wrong?

import { element, write } from "../dom.js";

export function setup({ root, task, player, answer, say }) {
  const form = root.querySelector("[data-form]");
  const send = form.querySelector("[type=submit]");
  const view = task.views[0];
  const badge = element("p", "badge", "Click the picture, or press K, where it goes wrong");
  let marked = null;

  function mark() {
    player.play(false);
    const steps = view.clip.steps;
    marked = view.stepAt(player.time);
    const told = `Marked at ${player.time.toFixed(1)} s (step ${marked + 1} of ${steps})`;
    write(root.querySelector("[data-marked]"), "Mark another moment");
    write(badge, told);
    say(told);
    send.disabled = false;
  }

  function submit() {
    if (marked === null) return say("Mark a moment first.", true);
    const note = form.elements.note.value.trim();
    return answer({ step: marked, clip: view.clip.id, note }, "Moment sent");
  }

  view.screen.append(badge);
  const click = () => mark();
  view.screen.addEventListener("click", click);
  root.querySelector("[data-mark]").addEventListener("click", mark);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  return {
    keys: { k: mark, Enter: submit, ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1) },
    help: [["K", "mark this moment (or click the picture)"], ["← →", "one step back, on"], ["Enter", "send"]],
    stop() {
      view.screen.removeEventListener("click", click);
      badge.remove();
    },
  };
}
