// Numbers and tokens in sentences.

import { percent, whole } from "../draw/numbers.js";
import { quoted, shownText } from "../draw/token_strip.js";

export { percent, quoted, shownText, whole };

/** A number with fixed decimals and a true minus sign. */
export function fixed(x, digits = 2) {
  const text = x.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** A duration, from milliseconds. */
export const time = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** 1st, 2nd, 3rd … */
export const ordinal = (n) => `${n}${n % 100 > 10 && n % 100 < 14 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th")}`;

/** Where the largest of a list stands, by a measure. */
export const strongest = (list, measure = (x) => x) => Array.from(list).reduce((best, x, at, all) => (measure(x) > measure(all[best]) ? at : best), 0);

/** Whether a token holds letters or digits, so that it can be spoken of as a word. */
export const isWord = (token) => /[\p{L}\p{N}]/u.test(token.text ?? "");

/** “a”, “b” and “c”. */
export const list = (words) => (words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
