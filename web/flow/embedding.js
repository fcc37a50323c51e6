// The view "Embedding": the token's vector and, where positions are learned, the position's vector, which enter the first block.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { format, length, most, values } from "../draw/numbers.js";
import { chip, shownText } from "../draw/token_strip.js";
import { vector } from "../draw/vector.js";
import { ask } from "../engine.js";
import { note, part } from "./parts.js";
import { defineView } from "./view.js";

export const view = defineView({
  id: "embedding",
  title: "Embedding",
  about: "Every token has a vector that was learned. It flows into the first block, in some models with a vector of its position added.",
  uses: ["position"],
  draw,
});

async function draw({ state, store }) {
  const { position, tokens, ids, model } = state;
  const token = tokens[position];
  const [found, own] = await Promise.all([ask({ ask: "embedding", ids: store.upTo(), position }), ask({ ask: "near", id: ids[position], n: 9 })]);
  const of = { token: values(found.token), position: found.position ? values(found.position) : null, sum: values(found.sum) };
  const full = most([...of.token, ...(of.position ?? []), ...of.sum]);
  const row = (sign, name, numbers, kind, atOf) =>
    make(
      "div",
      { class: "sum-row" },
      make("span", { class: "sum-sign", "aria-hidden": "true" }, sign),
      make("div", { class: "sum-name" }, ...[name].flat(), make("span", { class: "note" }, `length ${format(length(numbers), 3)}`)),
      vector(numbers, { kind, full, name: `${shownText(token)} ${kind}`, atOf }),
    );
  const site = (name) => (column) => ({ site: name, position, column });
  const { embedding_factor: factor, embedding_norm: normed } = model.choices;
  return [
    make(
      "div",
      { class: "sum" },
      row("", [chip(token), factor === 1 ? " in the table of tokens" : ` in the table of tokens, × ${format(factor, 4)}`], of.token, "weight", site("embedding.token")),
      of.position && row("+", `position ${position}`, of.position, "weight", site("embedding.position")),
      row(normed ? "→" : "=", normed ? "brought to one scale (norm): what flows into block 0" : "what flows into block 0", of.sum, "data", site("embedding")),
    ),
    !of.position && note("This model has no vectors of positions: its blocks rotate queries and keys by an angle that grows with the position."),
    note(`${model.width} numbers each. Blue and square: learned${factor === 1 ? ", they stand in the file" : "; the file has them without the factor"}. Orange and round: computed for this text.`),
    part("Tokens whose learned vectors have the most similar direction (cosine)", make("div", { class: "narrow" }, near(own.near))),
  ];
}

const near = (list) =>
  bars(
    list.map((one) => ({ label: chip(one), value: one.cosine, text: format(one.cosine, 2) })),
    { label: "Cosine of the angle", as: "size", kind: "weight", full: 1 },
  );
