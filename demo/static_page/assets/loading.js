// How much of the model has come, and what went wrong on the way.

import { make } from "./make.js";

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

/** Returns the line: its `element`, and what it can say. `again` is called when the visitor wants another try. */
export function loadingLine(words, total, again) {
  const bar = make("progress", { max: total, value: 0, "aria-label": words("fetching_label") });
  const text = make("p", { role: "status" });
  const button = make("button", { type: "button" }, words("again"));
  button.addEventListener("click", again);
  const figures = make("p");
  const element = make("div", { id: "loading" }, text, figures, bar, button);
  const show = (said, { loading = false, failed = false } = {}) => {
    text.textContent = said;
    [figures.hidden, bar.hidden, button.hidden] = [!loading, !loading, !failed];
  };
  return {
    element,
    fetching(bytes) {
      if (figures.hidden || bytes === 0) show("", { loading: true });
      bar.value = bytes;
      figures.textContent = words("fetching", { done: megabytes(Math.min(bytes, total)), all: megabytes(total) });
    },
    starting: () => show(words("starting")),
    ready: () => show(words("ready")),
    failed: (key) => show(words(key), { failed: true }),
    hopeless: (key) => show(words(key)),
  };
}
