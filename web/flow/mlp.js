// The view "MLP": the neurons that fire most for a word, what each one adds, and what makes it fire.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { number } from "../draw/number.js";
import { format, most, signed, values, whole } from "../draw/numbers.js";
import { chip, quoted, tokenStrip } from "../draw/token_strip.js";
import { vector } from "../draw/vector.js";
import { ask } from "../engine.js";
import { beside, changing, chips, four, note, part, promotedParts, table, weightBox, window } from "./parts.js";
import { defineView } from "./view.js";

const WORDS = 60;

export const view = defineView({
  id: "mlp",
  title: "MLP",
  about: "Here each word's vector is worked on by itself. A neuron fires where the vector fits what it answers to, and then adds a vector of its own.",
  uses: ["position", "block"],
  keys: ["neuron"],
  draw,
});

async function draw({ state, store, open }) {
  const { block, position, tokens, model } = state;
  const found = await ask(store.question("mlp", { block, position, top: 12 }));
  const neuron = state.neuron !== null && state.neuron < model.mlp_width ? state.neuron : found.neurons[0].neuron;
  const one = await ask(store.question("neuron", { block, neuron }, state.ids.length - 1));
  const active = values(found.values);
  return [
    make(
      "ol",
      { class: "path" },
      make(
        "li",
        {},
        make("h3", {}, "1 · Up"),
        model.choices.gated && weightBox("gate", { rows: model.width, cols: model.mlp_width }),
        weightBox("up", { rows: model.width, cols: model.mlp_width }),
        note(`${whole(model.mlp_width)} neurons, each with its own column of weights${model.choices.gated ? " in both matrices" : ""}, at ${quoted(tokens[position])}.`),
      ),
      make(
        "li",
        { class: "wide" },
        make("h3", {}, "2 · Fire"),
        vector(active, { name: "neuron", column: neuron, atOf: (column) => ({ site: `block.${block}.mlp.active`, position, column }) }),
        note(
          model.choices.gated
            ? `Each is its gate (${model.choices.activation}) times what “up” gives, so it may be below zero. ${whole(found.open)} of ${whole(active.length)} gates are above zero.`
            : `${whole(found.active)} of ${whole(active.length)} are above zero.`,
        ),
      ),
      make(
        "li",
        {},
        make("h3", {}, "3 · Down"),
        weightBox("down", { rows: model.mlp_width, cols: model.width }),
        note(`What they add is ${format(found.length, 3)} long${model.choices.norm_after ? ", after the norm behind the MLP" : ""}.`),
      ),
    ),
    beside(
      make("div", { class: "part still" }, make("h3", {}, "The strongest neurons"), neuronTable({ found, neuron, store, block, position })),
      ...promotedParts(found.promoted.slice(0, 6), found.demoted.slice(0, 6)),
    ),
    neuronPart({ state, store, open, one, neuron }),
  ];
}

function neuronTable({ found, neuron, store, block, position }) {
  const rows = found.neurons.map((one) => [
    make(
      "button",
      {
        type: "button",
        class: "quiet",
        "data-focus": `neuron-${one.neuron}`,
        "aria-pressed": String(one.neuron === neuron),
        onclick: () => store.set({ neuron: one.neuron }),
      },
      String(one.neuron),
    ),
    number(one.active, { site: `block.${block}.mlp.active`, position, column: one.neuron }),
    format(one.length, 2),
    one.logit === undefined || one.logit === null ? "" : signed(one.logit),
    chips(one.promoted.slice(0, 3)),
  ]);
  return table({
    caption: "Neurons by the length of what they add",
    head: ["Neuron", "Fires", "Adds (length)", "To the next token", "Raises"],
    rows,
  });
}

function neuronPart({ state, store, open, one, neuron }) {
  const { tokens, position, block } = state;
  const fired = values(one.values);
  const { from, left } = window(tokens.length, position, WORDS);
  const full = most(fired, 1e-3);
  const text = tokenStrip({
    tokens: tokens.slice(from),
    from,
    chosen: position,
    label: `Where neuron ${neuron} fires`,
    shade: (at) => Math.max(0, fired[at]) / full,
    pick: (at) => store.set({ position: at }),
  });
  const list = (of, name) =>
    part(
      name,
      bars(
        of.slice(0, 6).map((one) => ({ label: chip(one), value: one.value, text: format(one.value, 2) })),
        { label: name, as: "signed" },
      ),
    );
  return part(
    `Neuron ${neuron} of block ${block}`,
    make(
      "p",
      { class: "note" },
      "Where it fires in this text (the fuller, the stronger; the strongest here ",
      number(Math.max(...fired), { site: `block.${block}.mlp.active`, position: fired.indexOf(Math.max(...fired)), column: neuron }),
      ")",
    ),
    text,
    left && note(left),
    four(
      list(one.excited, "Tokens that excite it most"),
      list(one.calmed, "Tokens that calm it most"),
      list(one.promoted, "Raises"),
      list(one.demoted, "Lowers"),
    ),
    make(
      "div",
      { class: "row" },
      changing("Silence this neuron", store, open, { silence: `block.${block}.mlp.neuron.${neuron}` }),
      changing("Silence this MLP", store, open, { silence: `block.${block}.mlp` }),
    ),
  );
}
