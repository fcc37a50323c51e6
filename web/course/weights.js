// Chapter 13: where the weights are, what is learned and what flows.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { picture, round, svg, textWidth } from "../draw/svg.js";
import { guess } from "./guess.js";
import { aside, figure, say, screen, strong, table } from "./parts.js";
import { percent, whole } from "./words.js";

const NAMES = { embedding: "embedding", query: "query", key: "key", value_down: "value, down", value_up: "value, up", mlp_gate: "MLP, gate", mlp_up: "MLP, up", mlp_down: "MLP, down", unembedding: "unembedding" };
const KINDS = [["embedding and unembedding", (name) => name.includes("embedding")], ["attention: query, key, value", (name) => /query|key|value/.test(name)], ["MLP", (name) => name.startsWith("mlp")]];

export const chapter = {
  id: "weights",
  short: "The weights",
  title: "Where the weights are",
  sources: ["brown", "radford", "press", "sanderson"],
  make(lesson) {
    const { model } = lesson;
    const { gpt3 } = model;
    const share = (of, [, fits]) => of.groups.filter(({ name }) => fits(name)).reduce((sum, { weights }) => sum + weights, 0) / of.weights;
    return [
      screen(
        `${whole(gpt3.weights)} numbers`,
        guess(lesson, {
          name: "most",
          ask: `GPT-3 has ${whole(gpt3.weights)} weights in ${whole(gpt3.matrices)} matrices. Which part holds most of them?`,
          choices: KINDS.map(([name]) => [name, name]),
          truth: () => ({ value: "MLP", say: `The MLPs hold ${percent(share(gpt3, KINDS[2]))}, attention ${percent(share(gpt3, KINDS[1]))}, the two tables ${percent(share(gpt3, KINDS[0]))}.` }),
          shown: () => [
            figure("Shares of all weights, from left to right: the two tables, attention, the MLPs. Above GPT-3, below the loaded model.", () => [stacked(gpt3, "GPT-3"), stacked(model, model.name)], { name: "stacked" }),
            groups(gpt3, "GPT-3"),
            groups(model, `the loaded model, ${model.name}`),
            reconciliation(gpt3),
          ],
        }),
      ),
      screen(
        "What is learned, what flows",
        figure("Blue: weights, the same for every text. Orange: the vectors of your text at every block, made for it and gone afterwards.", () => twoKinds(lesson), { name: "two-kinds" }),
        say("Two kinds of numbers are multiplied and added in a GPT. ", strong("Weights"), " were learned; they are the model. They do not change when it reads or writes. ", strong("Data"), " is what flows: vectors, scores, shares. They are made anew from each text."),
        say("A chat does not teach the model anything. What it seems to remember of a conversation stands in the text that it reads again."),
      ),
    ];
  },
};

/** All groups side by side as one bar. */
function stacked(model, title) {
  const width = 640;
  const height = 46;
  let x = 0;
  const parts = KINDS.map(([, fits], at) => {
    const share = model.groups.filter((group) => fits(group.name)).reduce((sum, { weights }) => sum + weights, 0) / model.weights;
    const wide = share * (width - 2);
    const text = `${["embedding", "attention", "MLP"][at]} ${percent(share)}`;
    const part = svg("g", {}, svg("rect", { x: round(1 + x), y: 1, width: round(Math.max(1, wide)), height: 26, class: `weight part-${at}` }), wide > textWidth(text, 12) + 8 ? svg("text", { x: round(x + 2), y: 43, class: "label" }, text) : null);
    x += wide;
    return part;
  });
  const said = KINDS.map(([name, fits]) => `${name} ${percent(model.groups.filter((group) => fits(group.name)).reduce((sum, { weights }) => sum + weights, 0) / model.weights)}`).join(", ");
  return make("div", { class: "stacked" }, make("p", { class: "note" }, `${title}: ${whole(model.weights)}`), picture(width, height, `${title}: ${said}`, ...parts));
}

function groups(model, title) {
  const rows = model.groups.map(({ name, rows, cols, matrices, weights }) => [NAMES[name] ?? name, `${whole(rows)} × ${whole(cols)}`, whole(matrices), whole(weights), percent(weights / model.weights)]);
  rows.push([make("strong", {}, "total"), "", make("strong", {}, whole(model.matrices)), make("strong", {}, whole(model.weights)), "100 %"]);
  return make("div", {}, make("h4", {}, title.replace(/^the/, "The")), table(`The weights of ${title}, group by group`, ["group", "rows × columns", "matrices", "weights", "share"], rows, { numeric: [1, 2, 3, 4] }));
}

function reconciliation({ reconciliation, stored }) {
  return aside(`This count takes every head’s query, key and first value half as a matrix of its own, the second halves of a block together as one, and the unembedding as a matrix beside the embedding. What a file of GPT-3’s shape stores differs: ${reconciliation.map(({ what, weights }) => `${what} (${weights > 0 ? "+" : "−"}${whole(Math.abs(weights))})`).join("; ")}. Stored: ${whole(stored)}.`);
}

function twoKinds(lesson) {
  const { model, ids } = lesson;
  const flowing = ids.length * model.width * (model.layers + 1);
  return [
    bars([{ label: "weights of this model, as stored", value: model.stored, text: whole(model.stored) }], { label: "What is learned", as: "size", kind: "weight", full: Math.max(model.stored, flowing) }),
    bars([{ label: `vectors of your text: ${ids.length} tokens × ${whole(model.width)} × ${model.layers + 1}`, value: flowing, text: whole(flowing) }], { label: "What flows", as: "size", full: Math.max(model.stored, flowing) }),
  ];
}
