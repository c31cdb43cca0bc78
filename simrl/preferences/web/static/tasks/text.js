// One clip: what has the person to say about it?

export function setup({ root, answer, say }) {
  const form = root.querySelector("[data-form]");
  const field = form.elements.text;
  function submit() {
    const text = field.value.trim();
    if (!text) return say("Write something first, or skip.", true);
    return answer({ text }, "Text sent");
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    if (event.key === "Escape") field.blur();
  });
  return {
    keys: { Enter: () => field.focus() },
    help: [["Enter", "go to the text"], ["Ctrl Enter", "send"], ["Esc", "leave the text, so that the other keys work"]],
  };
}
