// Heads of the loaded model that show something on the reader's text.

import { matrix } from "../draw/numbers.js";

const MOST = 24;

/** `{ position, block, head, to, shares }` of every head that looks from the last positions, strongest first. */
async function rows(lesson) {
  const { ids, model } = lesson;
  const from = Math.max(lesson.first + 2, ids.length - MOST);
  const positions = Array.from({ length: Math.max(0, ids.length - from) }, (_, at) => from + at);
  const found = [];
  for (const position of positions) {
    const { rows } = await lesson.ask({ ask: "row", ids, position });
    const all = matrix(rows);
    for (let at = 0; at < all.rows; at++) found.push({ position, block: Math.floor(at / model.heads), head: at % model.heads, shares: Array.from(all.row(at)) });
  }
  return found;
}

/**
 * The head and the word where most attention goes to one earlier word, not counting the start. Words further away than
 * the one just before are preferred a little, and words to punctuation.
 */
export async function clearHead(lesson) {
  const all = await rows(lesson);
  let best = null;
  for (const one of all) {
    for (let to = Math.max(1, lesson.first); to < one.position; to++) {
      const far = to < one.position - 1 ? 1.15 : 1;
      const worth = one.shares[to] * far * (/\p{L}/u.test(lesson.tokens[to].text) ? 1 : 0.6) * (/\p{L}/u.test(lesson.tokens[one.position].text) ? 1 : 0.6);
      if (!best || worth > best.worth) best = { ...one, to, worth };
    }
  }
  if (!best) throw new Error("The text is too short: write some words more.");
  return best;
}
