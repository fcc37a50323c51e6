// Who answers questions about the model: the server this page came from, or the page itself.
//
// A page that stands alone sets `globalThis.glassAlone = {}` before its modules run; alone.js gives it its `ask`.

import { askServer } from "./served.js";

/** Whether no server is there, and the model runs in this page. */
export const alone = Boolean(globalThis.glassAlone);

/** Answers by question, newest last. Views simply ask; what was answered is answered at once. */
const answers = new Map();
const KEPT = 200;

/**
 * Asks a question about the model: `ask({ ask: "next", ids })`. Resolves to the answer; its errors are for the reader.
 * `onFrame` gets what a long question answers on the way; such a question is not remembered.
 */
export function ask(question, { signal, onFrame } = {}) {
  const answer = globalThis.glassAlone ? globalThis.glassAlone.ask : askServer;
  if (onFrame || question.ask === "run") return answer(question, { signal, onFrame });
  const key = JSON.stringify(question);
  let found = answers.get(key);
  if (found) answers.delete(key);
  // Several views may wait for the same answer, so nobody's signal ends it: only the waiting ends.
  else found = answer(question, {});
  answers.set(key, found);
  found.catch(() => answers.get(key) === found && answers.delete(key));
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  return signal ? until(found, signal) : found;
}

function until(answer, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("no longer wanted", "AbortError"));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    answer.then(resolve, reject);
  });
}

/** The model as the question "model" describes it. */
export const model = () => ask({ ask: "model" });

/** Another model: nothing of the old one is true any more. */
export const forgetAnswers = () => answers.clear();
