// The chosen token, and where the tokens of each shown message are.

import { app, changed } from "./app.js";

/** For each shown text (the id of a node, or "system"): `{ tokens, prefix, generated, sent }`. */
export const shown = new Map();

/** Chooses a token. `focus` moves the focus to the panel. */
export function choose(node, index, focus = false) {
  app.chosen = { node, index };
  changed("chosen", { focus });
}

/** Everything about the chosen token; null if its message is no longer shown. */
export function chosenToken() {
  const of = app.chosen && shown.get(app.chosen.node);
  const token = of?.tokens[app.chosen.index];
  if (!token) return null;
  const before = of.tokens.slice(0, app.chosen.index).map(({ id }) => id);
  return { ...of, ...app.chosen, token, ids: [...of.prefix, ...before], before: of.generated ? before : [] };
}

/** Moves the choice within its message. */
export function step(by) {
  const of = app.chosen && shown.get(app.chosen.node);
  const index = (app.chosen?.index ?? 0) + by;
  if (of?.tokens[index]) choose(app.chosen.node, index);
}
