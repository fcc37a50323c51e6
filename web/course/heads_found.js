// Heads of the loaded model that show something on the reader's text.

import { matrix } from "../draw/numbers.js";
import { nounOf } from "./drift.js";
import { isWord } from "./words.js";

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
 * The head and the word where most attention goes to one earlier word, not counting the start. Words are preferred to
 * punctuation; the noun of chapter 3 counts a little more, the first word less, because it often takes what has no other place
 * to go.
 */
export async function clearHead(lesson) {
  const all = await rows(lesson);
  const noun = nounOf(lesson);
  let best = null;
  for (const one of all) {
    for (let to = Math.max(1, lesson.first); to < one.position; to++) {
      const words = [to, one.position].filter((at) => isWord(lesson.tokens[at])).length;
      const worth = one.shares[to] * [0.3, 0.6, 1][words] * (to === lesson.first ? 0.7 : 1) * (one.position === noun ? 1.1 : 1);
      if (!best || worth > best.worth) best = { ...one, to, worth };
    }
  }
  if (!best) throw new Error("The text is too short: write some words more.");
  return best;
}
