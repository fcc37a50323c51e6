// A guess before the answer: a question with choices or a number, and what the model really does. What comes after it
// is shown once the reader has guessed, or wants to see it without.

import { make } from "../dom.js";
import { slider } from "./parts.js";

let serial = 0;

/**
 * `guess(lesson, { name, ask, … , shown })`
 * - `choices`: `[[value, label], …]`, or a promise of them; or `range`: `{ from, to, step, value, write }`
 * - `truth()`: `{ value, say }` or a promise: the right value, and a sentence (text or elements) that tells it.
 *   With `range`, `near` (a number) is how far off still counts as right.
 * - `shown()`: the elements that come after; `waiting`: what is said until the truth is known.
 */
export function guess(lesson, { name, ask, choices, range, near = 0, truth, shown, waiting = "…" }) {
  const verdict = make("p", { class: "verdict", role: "status", "data-verdict": name });
  const after = make("div", { class: "shown", "data-shown": name, hidden: true });
  const fields = make("div", { class: "guess-fields" });
  const skip = make("button", { type: "button", class: "link skip-guess", "data-skip": name, onclick: () => answer(null) }, "Show me without guessing");
  const form = make("fieldset", { class: "guess", "data-guess": name }, make("legend", {}, make("span", { class: "guess-mark", "aria-hidden": "true" }, "?"), ask), fields, make("div", { class: "row" }, skip), verdict);
  lesson.gate(name);

  /** Tells whether the guess was right; `null` for none: then only what is right. */
  async function answer(value) {
    verdict.className = "verdict";
    verdict.replaceChildren(waiting);
    try {
      const found = await truth();
      tell(value, found);
    } catch (error) {
      verdict.replaceChildren(error.message);
      verdict.className = "verdict trouble";
    }
    open();
  }
  function tell(value, { value: right, say, write }) {
    const none = value === null;
    const good = none ? null : range ? Math.abs(value - right) <= near : value === right;
    form.dataset.right = none ? "none" : String(good);
    verdict.className = `verdict ${none ? "" : good ? "good" : "off"}`;
    const mark = none ? "" : make("strong", {}, good ? (range && value !== right ? "✓ Close. " : "✓ Right. ") : "✗ Not so. ");
    const yours = range && !good && !none ? `You guessed ${(write ?? range.write ?? String)(value)}. ` : "";
    verdict.replaceChildren(mark, yours, ...[say].flat());
    for (const button of fields.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.choice === String(value)));
      button.classList.toggle("right", button.dataset.choice === String(right));
      button.querySelector(".right-mark").textContent = button.dataset.choice === String(right) ? "✓ " : "";
    }
  }
  function open() {
    skip.hidden = true;
    if (after.hidden) {
      after.hidden = false;
      after.replaceChildren(...shown());
    }
    lesson.opened(name);
  }

  async function fill() {
    if (range) {
      const input = slider({ ...range, label: "Your guess", id: `guess-${++serial}` });
      fields.replaceChildren(input, make("button", { type: "button", class: "primary", "data-submit": name, onclick: () => answer(input.value()) }, "Compare"));
      return;
    }
    try {
      const all = await choices;
      fields.replaceChildren(...all.map(([value, label]) => make("button", { type: "button", class: "guess-choice", "aria-pressed": "false", "data-choice": value, onclick: () => answer(value) }, make("span", { class: "right-mark" }), label)));
    } catch (error) {
      fields.replaceChildren(make("p", { class: "note" }, error.message));
    }
  }
  fill();
  // A reader who has been here sees the chapter open, also with another text.
  if (lesson.wasOpen(name)) open();
  return make("div", { class: "gate" }, form, after);
}
