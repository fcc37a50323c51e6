// A text whose tokens can be chosen: with the pointer, or with the arrow keys once the text has the focus.

import { make } from "./dom.js";
import { shower } from "./pieces.js";

/** A shade for how surprising a token was: 0 (expected) to 4. */
const surprise = (logprob) => [0.5, 0.2, 0.05, 0.01].filter((p) => Math.exp(logprob) < p).length;

/** What the mark of a token says. */
export const GUESSED = "Guessed ahead, and right: the model read it in the same pass as the token before it.";

/**
 * An element that shows tokens. `pick(index, how)` is called when one is chosen; how is "pointer", "key" or "enter".
 * `element.append(tokens)` is left alone: use the returned `grow(tokens)`, and `mark(index)` to show the choice.
 */
export function tokenText({ tokens, label, pick }) {
  const element = make("div", { class: "text tokens", tabindex: "0", role: "group", "aria-label": label, "aria-description": "Arrow keys choose a token, Enter goes to its panel" });
  const spans = [];
  const show = shower();
  let at = null;

  function grow(more) {
    for (const token of more) {
      // A character cut by the border of a message is shown as far as it goes.
      const text = show(token.shown ?? token.raw);
      const span = make("span", { "data-i": spans.length }, text);
      if (text === "" && token.raw) span.className = "part";
      else if (/^\n+$/.test(text)) span.className = "line";
      if (token.guessed) {
        span.classList.add("guessed");
        span.title = GUESSED;
      }
      if (token.logprob !== undefined) span.classList.add(`s${surprise(token.logprob)}`);
      spans.push(span);
      element.append(span);
    }
  }

  function mark(index) {
    spans[at]?.removeAttribute("aria-current");
    at = index;
    spans[at]?.setAttribute("aria-current", "true");
  }

  function move(index, how) {
    if (!spans.length) return;
    const next = Math.max(0, Math.min(spans.length - 1, index));
    mark(next);
    spans[next].scrollIntoView({ block: "nearest" });
    pick(next, how);
  }

  element.addEventListener("click", (event) => {
    const span = event.target.closest("[data-i]");
    // Selecting text is not choosing a token.
    if (span && document.getSelection().isCollapsed) move(Number(span.dataset.i), "pointer");
  });
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const to = {
      ArrowRight: () => (at === null ? 0 : at + 1),
      ArrowLeft: () => (at ?? 1) - 1,
      ArrowDown: () => lineAway(spans, at ?? 0, 1),
      ArrowUp: () => lineAway(spans, at ?? 0, -1),
      Home: () => 0,
      End: () => spans.length - 1,
      Enter: () => at ?? 0,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    move(to(), event.key === "Enter" ? "enter" : "key");
  });
  grow(tokens);
  return { element, grow, mark };
}

/** The token nearest to `at` on the line above or below. */
function lineAway(spans, at, direction) {
  const here = spans[at].getBoundingClientRect();
  let best = at;
  let least = Infinity;
  for (let i = at + direction; i >= 0 && i < spans.length; i += direction) {
    const box = spans[i].getBoundingClientRect();
    const lines = direction * (box.top - here.top);
    if (lines < here.height / 2) continue;
    const far = lines * 1000 + Math.abs(box.left - here.left);
    if (far < least) [best, least] = [i, far];
    else if (lines * 1000 > least + 1000) break;
  }
  return best;
}
