// One clip: good or bad?

export function setup({ root, answer }) {
  const choose = (up) => answer({ up }, up ? "Good" : "Bad", `[data-up="${up}"]`);
  for (const button of root.querySelectorAll("[data-up]")) {
    button.addEventListener("click", () => choose(button.dataset.up === "true"));
  }
  const good = () => choose(true), bad = () => choose(false);
  return {
    keys: { ArrowUp: good, y: good, ArrowDown: bad, n: bad },
    help: [["↑ Y", "good"], ["↓ N", "bad"]],
  };
}
