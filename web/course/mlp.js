// Chapter 9: the MLP, which works on each vector alone.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { values } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { aside, choose, figure, room, say, screen, stripRow, strong } from "./parts.js";
import { plot } from "./plot.js";
import { fixed, percent, quoted, whole } from "./words.js";

export const chapter = {
  id: "mlp",
  short: "The MLP",
  title: "Each word by itself: the MLP",
  sources: ["geva", "hendrycks", "radford"],
  make(lesson) {
    const { model } = lesson;
    const state = { block: model.layers - 1 };
    const ask = () => lesson.ask({ ask: "mlp", ids: lesson.ids, block: state.block, top: 8 });
    const numbers = figure(null, async () => neurons(lesson, await ask()), { name: "neurons", tall: 8 });
    const strongest = figure("The neurons that add most here: how active they are, and which next tokens what they write promotes.", async () => writers(await ask()), { name: "strongest", tall: 16 });
    const blocks = choose("Block", Array.from({ length: model.layers }, (_, at) => [at, String(at)]), state.block, (value) => {
      state.block = value;
      numbers.again();
      strongest.again();
    });
    const gpt3 = model.gpt3;
    const { gated, activation } = model.choices;
    const share = gpt3.groups.filter(({ name }) => name.startsWith("mlp")).reduce((sum, { weights }) => sum + weights, 0);
    return [
      screen(
        "Wide, bent, narrow",
        guess(lesson, {
          name: "active",
          ask: `After attention, each vector passes through ${whole(model.mlp_width)} neurons. Each asks one learned question of the vector, and gets a number${gated ? " (its gate)" : ""}. At the last token, in block ${state.block}: for how many of the ${whole(model.mlp_width)} is the answer above 0?`,
          range: { from: 0, to: model.mlp_width, step: Math.max(1, Math.round(model.mlp_width / 256)), value: Math.round(model.mlp_width / 2), write: whole },
          near: model.mlp_width / 16,
          truth: async () => {
            const found = await lesson.ask({ ask: "mlp", ids: lesson.ids, block: model.layers - 1, top: 8 });
            const above = gated ? found.open : found.active;
            return { value: above, say: `${whole(above)} of ${whole(model.mlp_width)} (${percent(above / model.mlp_width)}).` };
          },
          shown: () => [
            blocks,
            numbers,
            say(`MLP stands for multi-layer perceptron. A first matrix makes ${whole(model.mlp_width)} numbers of the ${whole(model.width)}. Then a bend: what is well below 0 becomes almost 0, what is above stays. ${gated ? `The result is a gate: each number is multiplied by another one, which a matrix of its own makes without a bend. ` : ""}A ${gated ? "third" : "second"} matrix makes ${whole(model.width)} numbers again, and they are added to the vector.`),
            figure(`The bend, called ${activation}: what comes out for each number that goes in.`, () => bend(activation), { name: "gelu" }),
            say("Without the bend, two matrices in a row would be no more than one matrix. With it, a neuron can be silent for most words and speak for some."),
          ],
        }),
      ),
      screen(
        "What neurons write",
        strongest,
        say(`A neuron’s column in the first matrix says what it answers to; its row in the ${gated ? "last" : "second"} says what it then writes. One can read it as a small memory: `, strong("if"), " the vector looks like this, ", strong("then"), " add that."),
        aside("A name for a neuron is a guess. Many answer to several things that have nothing to do with each other."),
        closer(lesson, "mlp", { position: lesson.last, block: state.block }, "The whole MLP, neuron by neuron"),
      ),
      screen(
        "No word sees another here",
        figure("The weights of GPT-3.", () => bars([{ label: "MLPs", value: share / gpt3.weights, note: whole(share) }, { label: "everything else", value: 1 - share / gpt3.weights, note: whole(gpt3.weights - share) }], { label: "The weights of GPT-3", kind: "weight", full: 1 }), { name: "mlp-share" }),
        say(`The same ${gated ? "three" : "two"} matrices work on every position, and on each alone. Only attention moves anything between words. Still, `, strong("two thirds"), " of GPT-3’s weights are in its MLPs, and much of what such a model knows of the world seems to be stored there."),
        aside(norms(model.choices)),
      ),
    ];
  },
};

function neurons(lesson, found) {
  const all = values(found.values);
  return [
    stripRow(`${whole(all.length)} neurons after the bend, at ${lesson.named(lesson.last)}: ${lesson.model.choices.gated ? `${whole(found.open)} gates` : whole(found.active)} above 0`, all, { height: 60 }),
    make("p", { class: "note" }, `Together they add a vector of length ${fixed(found.length)}; to the logit of ${quoted(found.token)} that is ${fixed(found.logit)} directly.`),
  ];
}

function writers({ neurons }) {
  const promoted = (list) => make("span", { class: "token-row" }, ...list.slice(0, 3).map((one) => chip(one)));
  return bars(neurons.map((one) => ({ label: `neuron ${one.neuron}`, value: one.active, text: fixed(one.active), note: promoted(one.promoted) })), { label: "Neurons that add most", as: "size" });
}

/** Where the model has norms, and which. */
function norms({ norm, norm_before: before, norm_after: after, together }) {
  const first = before ? `Before attention and before the MLP, the vector is brought to a common size (${norm}). The parts read the copy; the vector itself, which they add to, stays as it is.` : "";
  const last = after ? `What attention and the MLP give is ${before ? "also " : ""}brought to a common size (${norm}) before it is added to the vector.` : "";
  const beside = together ? "In this model both read the same vector: the MLP does not wait for attention." : "";
  return [first, last, beside].filter(Boolean).join(" ");
}

/** What the bends make of a number; GELU in its tanh form, as GPT-2 has it. */
const BENDS = {
  GELU: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  SiLU: (x) => x / (1 + Math.exp(-x)),
  ReLU: (x) => Math.max(0, x),
  "squared ReLU": (x) => Math.max(0, x) ** 2,
};

function bend(name) {
  const points = Array.from({ length: 81 }, (_, at) => [-4 + at * 0.1, BENDS[name](-4 + at * 0.1)]);
  return plot([{ points, kind: "weight" }], { label: `${name}: ${name === "SiLU" ? "almost 0 far below 0" : "almost 0 below −2"}, ${name === "squared ReLU" ? "x² above 0" : "almost x above 2"}`, x: "in", y: "out", height: 200, width: room(), from: -1, to: 4 });
}
