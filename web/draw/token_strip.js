// Tokens as bordered chips: one alone, and a text of them in which one can be chosen.

import { make } from "../dom.js";
import { rawOf, isPartial, hex, visible } from "../pieces.js";

/** What a token `{ text, bytes? }` shows when it stands alone: white space made visible, a part of a character as bytes. */
export function shownText({ text, bytes }) {
  const raw = bytes && rawOf(bytes);
  if (raw && isPartial(raw)) return hex(raw);
  return visible(text) || "(nothing)";
}

/** A token as a chip. */
export function chip(token, more = "") {
  return make("span", { class: `chip ${more}` }, shownText(token));
}

/** "␣mat" in words for a screen reader or a sentence: “mat”. */
export const quoted = (token) => `“${shownText(token).replace(/^␣/, "")}”`;

/**
 * A text of tokens in which one can be chosen, with the pointer or the arrow keys. `pick(position)` is called.
 * Options: `chosen`; `label`; `shade(position)`: 0 to 1, how strongly a chip is filled; `extra(position)`: a class;
 * `from`: the position of the first token.
 * Returns an element with `mark(position)`.
 */
export function tokenStrip({ tokens, chosen = null, label, pick, shade, extra, from = 0 }) {
  const chips = tokens.map((token, i) => {
    const at = from + i;
    const made = make(
      "button",
      { type: "button", class: `chip ${extra?.(at) ?? ""}`, tabindex: "-1", "data-position": at, title: `position ${at}, id ${token.id}` },
      shownText(token),
    );
    const share = shade?.(at);
    if (share > 0) made.style.setProperty("--share", share.toFixed(3));
    return made;
  });
  const element = make("div", { class: "token-strip", role: "group", "aria-label": label ?? "Tokens" }, ...chips);
  let now = null;

  const chipOf = (position) => (position === null ? undefined : chips[position - from]);
  element.mark = (position) => {
    chipOf(now)?.removeAttribute("aria-current");
    (chipOf(now) ?? chips[0])?.setAttribute("tabindex", "-1");
    now = position;
    chipOf(now)?.setAttribute("aria-current", "true");
    (chipOf(now) ?? chips[0])?.setAttribute("tabindex", "0");
  };
  element.mark(chosen);

  element.addEventListener("click", (event) => {
    const at = event.target.closest("[data-position]")?.dataset.position;
    if (at !== undefined) choose(Number(at), false);
  });
  element.addEventListener("keydown", (event) => {
    const here = chips.indexOf(event.target);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: chips.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    choose(from + Math.max(0, Math.min(chips.length - 1, to)), true);
  });
  function choose(position, focus) {
    element.mark(position);
    if (focus) chips[position - from].focus();
    pick?.(position);
  }
  return element;
}
