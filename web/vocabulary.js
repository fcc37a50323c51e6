// What ids say, and the log-probabilities after a prefix; both are remembered.

import { logProbabilities, post } from "./api.js";

const texts = new Map();

/** The text of a token alone. U+FFFD in it: it is a part of a character. */
export function textOfId(id) {
  if (!texts.has(id)) {
    const asked = post("detokenize", { tokens: [id] }).then(({ content }) => content);
    texts.set(id, asked);
    asked.catch(() => texts.delete(id));
  }
  return texts.get(id);
}

const distributions = new Map();

/** Log-probabilities of the token after `ids`. */
export async function after(ids, signal) {
  const key = ids.join();
  if (!distributions.has(key)) {
    const found = await logProbabilities(ids, signal);
    distributions.set(key, found);
    // 32 distributions over 150,000 tokens are 19 MB.
    if (distributions.size > 32) distributions.delete(distributions.keys().next().value);
  }
  return distributions.get(key);
}

/** Another model, other numbers. */
export function forgetVocabulary() {
  texts.clear();
  distributions.clear();
}
