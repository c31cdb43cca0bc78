// Two clips: which one is better?

const SAID = { left: "A is better", right: "B is better", tie: "Equal", incomparable: "Cannot compare" };

export function setup({ root, answer }) {
  const choose = (choice) => answer({ choice }, SAID[choice], `[data-choice="${choice}"]`);
  for (const button of root.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => choose(button.dataset.choice));
  }
  return {
    keys: {
      ArrowLeft: () => choose("left"),
      ArrowRight: () => choose("right"),
      ArrowDown: () => choose("tie"),
      x: () => choose("incomparable"),
    },
    help: [["←", "A is better"], ["→", "B is better"], ["↓", "equal"], ["X", "cannot compare"]],
  };
}
