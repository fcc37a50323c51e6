// The view "Head": what one head adds to a word, through the two halves of its value matrix.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { number } from "../draw/number.js";
import { format, matrix, most, percent, values, whole } from "../draw/numbers.js";
import { chip, quoted } from "../draw/token_strip.js";
import { strip, vector } from "../draw/vector.js";
import { ask } from "../engine.js";
import { changing, columns, note, part, promotedParts, weightBox } from "./parts.js";
import { defineView } from "./view.js";

const SOURCES = 8;

export const view = defineView({
  id: "head",
  title: "One head",
  station: "Head",
  about: "A head takes a little from the words it looks at and adds the sum to the word that looks.",
  uses: ["position", "block", "head"],
  draw,
});

async function draw({ state, store, open }) {
  const { block, head, position, tokens, model } = state;
  const found = await ask(store.question("head", { block, head, position, top: 8 }));
  const order = found.sources.map(({ position }) => position).sort((a, b) => found.sources[b].added_length - found.sources[a].added_length);
  const strongest = order.slice(0, SOURCES);
  return [
    flow({ state, found, strongest }),
    note(
      `Together the two halves would be one matrix of ${whole(found.whole)} weights; as two thin ones they have ${whole(found.value_down.weights + found.value_up.weights)}. The whole is never built.`,
    ),
    model.choices.key_heads < model.heads &&
      note(`Heads share keys and values here: ${model.heads} heads ask, and ${model.heads / model.choices.key_heads} of them read the same keys and values.`),
    columns(
      part(
        "What it takes, from which word",
        bars(
          strongest.map((at) => ({
            label: chip(tokens[at]),
            value: found.sources[at].added_length,
            note: `${percent(found.sources[at].share)} of ${format(found.sources[at].value_length, 3)}`,
            text: format(found.sources[at].added_length, 3),
          })),
          { label: "Length of what it takes from each word", as: "size" },
        ),
        note("The length of what is added from each word. Beside it: its share of the attention, and the length of its value."),
        found.sources.length > SOURCES && note(`The ${SOURCES} strongest of ${found.sources.length} words.`),
      ),
      ...promotedParts(found.promoted, found.demoted),
    ),
    make("div", { class: "row" }, changing("Silence this head", store, open, { silence: `block.${block}.attention.head.${head}` })),
    note(
      `“Raises” and “lowers”: what the head's vector alone adds to the logits of the next token at ${quoted(tokens[position])}, position ${position}, block ${block} of ${model.layers}.`,
    ),
  ];
}

/** The path of the numbers: values of the words, weighted by attention, summed, and brought back to the full width. */
function flow({ state, found, strongest }) {
  const { block, head, position, tokens, model } = state;
  const all = matrix(found.values);
  const z = values(found.z);
  const added = values(found.added);
  const size = model.head_size;
  const full = most(all.data);
  const shown = strongest.slice(0, 5);
  const share = (at) => number(found.sources[at].share, { site: `block.${block}.attention.pattern`, position, head, key: at }, { as: "percent" });
  const rows = shown.map((at) =>
    make(
      "li",
      {},
      chip(tokens[at]),
      make("span", { class: "times" }, share(at), " ×"),
      strip(all.row(at), { full, width: 420, height: 20, label: `value of ${tokens[at].text}` }),
    ),
  );
  const zAt = (column) => ({ site: `block.${block}.attention.z`, position, column: head * size + column });
  const addedAt = (column) => ({ site: `block.${block}.attention.contribution`, position, head, column });
  return make(
    "ol",
    { class: "path" },
    make(
      "li",
      {},
      make("h3", {}, "1 · Down"),
      make("p", { class: "note" }, `Every word's ${model.width} numbers become ${size}: its value.`),
      weightBox("value, first half", found.value_down),
    ),
    make(
      "li",
      {},
      make("h3", {}, "2 · Looked at"),
      make("p", { class: "note" }, "Values times shares of attention, summed."),
      make("ul", { class: "shares" }, ...rows),
      shown.length < found.sources.length && note("… and the rest"),
      make("div", { class: "sum-line" }, make("span", { class: "note" }, "sum z"), vector(z, { name: "z", atOf: zAt, width: 560, height: 28 })),
    ),
    make(
      "li",
      {},
      make("h3", {}, "3 · Up"),
      make("p", { class: "note" }, `${size} numbers become ${model.width}, which are added to the word${model.choices.norm_after ? " after a norm has brought them to one scale" : ""}.`),
      weightBox("value, second half", found.value_up),
      vector(added, { name: "what the head adds", atOf: addedAt }),
      make("p", { class: "note" }, `length ${format(found.length, 3)}`),
    ),
  );
}
