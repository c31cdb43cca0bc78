// One clip: how good is it, on a scale?

import { element } from "../dom.js";

export function setup({ root, task, answer }) {
  const { low = 1, high = 5, labels = ["worst", "best"] } = task.question.settings;
  root.querySelector("[data-low]").textContent = `${low} = ${labels[0]}`;
  root.querySelector("[data-high]").textContent = `${high} = ${labels[labels.length - 1]}`;
  const choose = (rating) => answer({ rating }, `Rated ${rating}`, `[data-rating="${rating}"]`);
  const keys = {};
  for (let rating = low; rating <= high; rating += 1) {
    const button = element("button", "choice", String(rating));
    button.type = "button";
    button.dataset.rating = String(rating);
    button.setAttribute("aria-label", `${rating} of ${high}`);
    button.addEventListener("click", () => choose(rating));
    root.querySelector("[data-scale]").append(button);
    if (rating >= 0 && rating <= 9) keys[String(rating)] = () => choose(rating);
    if (rating === 10 && low > 0) keys["0"] = () => choose(10);
  }
  return { keys, help: [[`${low} – ${high}`, high === 10 ? "your rating (0 is 10)" : "your rating"]] };
}
