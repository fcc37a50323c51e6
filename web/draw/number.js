// A number that can be asked where it came from.

import { make } from "../dom.js";
import { format, percent } from "./numbers.js";

/**
 * A button with a number. A click tells the page (event "glass-trace", which flow/trace.js hears) what it is: `at` as the
 * question "trace" takes it. Without `at` it is a plain text.
 * Options: `digits`; `kind`: "data" (what flows) or "weight" (what was learned); `as`: "percent"; `text`: how it is
 * written instead; `label`: what it is, for screen readers.
 */
export function number(value, at, { digits = 3, kind = "data", as, text, label } = {}) {
  const written = text ?? (as === "percent" ? percent(value) : format(value, digits));
  const sign = value < 0 ? " negative" : "";
  if (!at) return make("span", { class: `number plain ${kind}${sign}` }, written);
  const button = make(
    "button",
    { type: "button", class: `number ${kind}${sign}`, "data-at": JSON.stringify(at), title: "Where does this number come from?" },
    label && make("span", { class: "hidden" }, `${label}: `),
    written,
  );
  button.addEventListener("click", () => button.dispatchEvent(new CustomEvent("glass-trace", { bubbles: true, detail: { at, value } })));
  return button;
}
