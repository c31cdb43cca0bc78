// Choose a moment of a clip, take over there with keyboard and mouse, and do it better.

import { element, randomKey, write } from "../dom.js";
import { LiveView, showControls } from "../live.js";

export function setup({ root, task, player, stored, say, playing, broken }) {
  const clip = task.views[0];
  const part = (name) => root.querySelector(`[data-${name}]`);
  const [tally, take, done, again] = ["tally", "take", "done", "again"].map(part);
  const screen = element("div", "screen played");
  screen.tabIndex = 0;
  screen.setAttribute("role", "application");
  screen.setAttribute("aria-label", "The game: keys and mouse play it, Escape pauses");
  const hint = element("p", "hint", "");
  const badge = element("p", "badge", "");
  const key = randomKey();
  let view = null, start = 0, waiting = new AbortController();
  write(tally, "Watch, stop where you would do it otherwise, and take over.");

  function takeOver(step) {
    start = step;
    view?.destroy();
    player.play(false);
    screen.replaceChildren(hint, badge);
    hint.hidden = false;
    write(hint, "Connecting…");
    clip.screen.hidden = true;
    clip.figure.append(screen);
    playing(true);
    view = new LiveView(screen, task.lease, key, {
      ready(message) {
        tally.hidden = true;
        showControls(part("pads"), view, message.controls);
        view.send({ seek: Math.min(step, Math.max(0, message.steps - 1)) });
        view.send({ take_over: true });
        view.grab();
        write(hint, "You play. Press a key or click here to start.");
        screen.focus();
        awaitStart();
        again.disabled = false;
      },
      state(message) {
        hint.hidden = !message.paused;
        if (message.paused && !done.disabled) write(hint, "Paused. Click here to go on, or send what you played.");
        if (message.waiting) write(badge, "Your move");
      },
      frame(header) {
        write(badge, `${header.time.toFixed(1)} s`);
      },
      error: (message) => say(message.message, true),
      done(message) {
        if (message.value) return;
        write(hint, "Nothing was kept. Once more, or skip?");
        hint.hidden = false;
      },
      stored: (message) => stored(message, "Demonstration sent"),
      async lost(reason) {
        if (await broken(task)) return;
        hint.hidden = false;
        write(hint, `${reason} Press “Once more from there” to start again.`);
      },
    });
    write(part("take-text"), "Choose another moment");
  }

  function go(event) {
    if (event.key === "Escape" || event.key === "Tab") return;
    waiting.abort();
    view.send({ pause: false });
    done.disabled = false;
    if (event.currentTarget !== screen) screen.focus();
  }
  /** The first key, click or touched button sets it going. */
  function awaitStart() {
    waiting.abort();
    waiting = new AbortController();
    for (const place of [screen, part("pads")]) {
      for (const kind of ["keydown", "pointerdown"]) place.addEventListener(kind, go, { signal: waiting.signal });
    }
  }
  function pause() {
    if (!view) return;
    view.send({ pause: true });
    awaitStart();
    (done.disabled ? take : done).focus();
  }
  function leave() {
    waiting.abort();
    view?.destroy();
    view = null;
    screen.remove();
    clip.screen.hidden = tally.hidden = false;
    part("pads").replaceChildren();
    playing(false);
    done.disabled = again.disabled = true;
    write(part("take-text"), "Take over from here");
    write(tally, "Watch, stop where you would do it otherwise, and take over.");
  }
  const toggle = () => (view ? leave() : takeOver(clip.stepAt(player.time)));
  const once = () => !again.disabled && takeOver(start);
  const finish = () => !done.disabled && view.send({ submit: true });

  screen.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pause();
  });
  take.addEventListener("click", toggle);
  again.addEventListener("click", once);
  done.addEventListener("click", finish);
  return {
    keys: { t: toggle, r: once, Enter: finish, ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1) },
    help: [["T", "take over at the moment shown"], ["Esc", "pause while you play"], ["R", "once more from there"], ["Enter", "send what you played"]],
    stop: leave,
  };
}
