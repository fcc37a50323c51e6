// What the parts of the page share: the model, the open conversation, what is running, and news of changes.

export const app = {
  /** As `/v1/models` describes it; null until it is known. */
  model: null,
  /** All conversations by id, and the open one. */
  talks: new Map(),
  talk: null,
  /** Answers that are being written: id of the conversation → its `AbortController`. */
  running: new Map(),
  /** The chosen token: `{ node, index }`; node is an id, or "system". */
  chosen: null,
  /** What the next prompt holds, once it is known (fit.js). */
  plan: null,
};

const bus = new EventTarget();

/** Tells the parts that something changed: "model", "talks", "talk", "plan", "running", "chosen", "settings". */
export const changed = (what, detail) => bus.dispatchEvent(new CustomEvent(what, { detail }));

export function on(whats, f) {
  for (const what of whats.split(" ")) bus.addEventListener(what, (event) => f(event.detail));
}
