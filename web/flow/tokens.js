// The view "Tokens": what the text is cut into, and how the chosen word was put together from bytes.

import { make } from "../dom.js";
import { chip } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { hex, rawOf } from "../pieces.js";
import { note, part, table, window } from "./parts.js";
import { defineView } from "./view.js";

const SHOWN = 60;

export const view = defineView({
  id: "tokens",
  title: "Tokens",
  about: "The model does not read letters but tokens: frequent pieces of text, each with a number.",
  uses: ["position"],
  draw,
});

async function draw({ state, store }) {
  const merges = await mergesOf(state);
  const { positions, left } = window(state.tokens.length, state.position, SHOWN);
  const cards = positions.map((at) => card(state.tokens[at], at, at === state.position, () => store.set({ position: at })));
  return [make("ol", { class: "cards", "aria-label": "Tokens with their ids" }, ...cards), left && note(left), merges, bytesTable(state)];
}

function card(token, at, chosen, pick) {
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "card", "aria-pressed": String(chosen), "data-position": at, onclick: pick },
      make("span", { class: "note" }, `${at}`),
      chip(token),
      make("span", { class: "id" }, `id ${token.id}`),
    ),
  );
}

/** The tokens from one that begins with a space to the next: the word around a position. */
export function wordAround(tokens, position) {
  const begins = (at) => at <= 0 || /^[\s<]/.test(tokens[at].text);
  let from = position;
  let to = position + 1;
  while (!begins(from) && position - from < 12) from -= 1;
  while (to < tokens.length && !begins(to) && to - from < 24) to += 1;
  return { from, to };
}

async function mergesOf({ tokens, position, model }) {
  const { from, to } = wordAround(tokens, position);
  const word = tokens.slice(from, to);
  if (word.some(({ id }) => id === model.start || model.ends.includes(id)))
    return note("The chosen token is a mark of its own (start or end of a text); it is not made of letters.");
  const bytes = word.flatMap((token) => token.bytes);
  const text = new TextDecoder().decode(Uint8Array.from(bytes));
  if (text.includes("\ufffd")) return null;
  const { words } = await ask({ ask: "merges", text });
  const shown = words.find((one) => one.steps.length > 1) ?? words[0];
  if (!shown) return null;
  const steps = shown.steps.map(({ tokens: pieces, rank }, at) =>
    make(
      "li",
      {},
      make("span", { class: "note step-name" }, at === 0 ? "bytes" : rank === null || rank === undefined ? `step ${at}` : `rule ${rank + 1}`),
      make("span", { class: "chips" }, ...pieces.map((piece, i) => chip(piece, joined(shown.steps[at - 1]?.tokens, pieces, i) ? "joined" : ""))),
    ),
  );
  return part(
    "How the chosen word is put together",
    note("It begins as single bytes. Of all pairs the one with the earliest rule is joined, again and again; the rules were learned by counting."),
    make("ol", { class: "ladder" }, ...steps),
  );
}

/** Whether piece i is the one that the last step made. */
function joined(before, pieces, i) {
  if (!before || before.length === pieces.length) return false;
  const first = pieces.findIndex((piece, at) => piece.id !== before[at].id);
  return i === (first < 0 ? pieces.length - 1 : first);
}

function bytesTable({ tokens, position }) {
  const { id, bytes, text } = tokens[position];
  return make(
    "details",
    {},
    make("summary", {}, "Bytes of the chosen token"),
    table({ caption: "The chosen token", head: ["Id", "Text", "Bytes"], rows: [[String(id), text, hex(rawOf(bytes))]] }),
  );
}
