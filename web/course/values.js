// Chapter 7: values. What a head adds, and the two halves of its matrix.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { values } from "../draw/numbers.js";
import { picture, svg } from "../draw/svg.js";
import { chip } from "../draw/token_strip.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { clearHead } from "./heads_found.js";
import { aside, figure, say, screen, stripRow, strong, table } from "./parts.js";
import { fixed, percent, whole } from "./words.js";

export const chapter = {
  id: "values",
  short: "Values",
  title: "What is added, and its two halves",
  sources: ["vaswani", "elhage", "brown", "sanderson"],
  make(lesson) {
    const head = clearHead(lesson);
    head.catch(() => {});
    return [
      screen(
        "Shares say how much, values say what",
        figure("For each word: its share, and the length of what comes from it.", () => mixing(lesson, head), { name: "mixing", tall: 16 }),
        say("Every word offers a third vector, its ", strong("value"), `: what is given when it is found. A head multiplies each value by the share of its word and adds them up. The sum is then brought back to ${whole(lesson.model.width)} numbers and `, strong("added"), " to the vector of the word that asked. Nothing is replaced: the old vector remains in the sum."),
        closer(lesson, "head", head, "The whole head: values, their sum, what is added"),
      ),
      screen("One square or two strips", halves(lesson)),
    ];
  },
};

async function mixing(lesson, asked) {
  const { block, head, position } = await asked;
  const found = await lesson.ask({ ask: "head", ids: lesson.ids, block, head, position, top: 6 });
  const best = [...found.sources].sort((a, b) => b.added_length - a.added_length).slice(0, 7).sort((a, b) => a.position - b.position);
  const rows = best.map(({ position: at, share, added_length }) => ({ label: chip(lesson.tokens[at]), value: added_length, text: fixed(added_length), note: `share ${percent(share)}` }));
  const kind = (list) => make("p", { class: "token-row" }, ...list.map((one) => chip(one)));
  return [
    make("p", { class: "note" }, `Head ${head} of block ${block}, asked by ${lesson.named(position)}.`),
    bars(rows, { label: "What comes from each word", as: "size" }),
    stripRow(`the mixed values: ${found.z.cols} numbers`, values(found.z)),
    stripRow(`what is added to ${lesson.named(position)}: ${whole(found.added.cols)} numbers, length ${fixed(found.length)}`, values(found.added)),
    make("p", { class: "note" }, "Read as a prediction, this addition alone would raise most:"),
    kind(found.promoted),
  ];
}

function halves(lesson) {
  const { gpt3, model } = { gpt3: lesson.model.gpt3, model: lesson.model };
  const square = gpt3.value.whole;
  const half = gpt3.value.half;
  return guess(lesson, {
    name: "halves",
    ask: `In GPT-3, a value is made from ${whole(gpt3.width)} numbers and ends as ${whole(gpt3.width)} numbers that are added. As one square matrix for each head, that would be ${whole(square)} weights. GPT-3 has two halves instead: down to ${gpt3.head_size} numbers, and up again. How many weights are the two together?`,
    choices: [
      ["half", `About half: ${whole(square / 2)}`],
      ["tenth", `About a tenth: ${whole(Math.round(square / 10))}`],
      ["right", `About a fiftieth: ${whole(2 * half)}`],
    ],
    truth: () => ({ value: "right", say: `2 × ${whole(half)} = ${whole(2 * half)}: ${whole(square / (2 * half))} times fewer than ${whole(square)}.` }),
    shown: () => [
      figure("One head of GPT-3, drawn to scale: the square, and the two halves beside it.", () => scale(gpt3), { name: "halves", tall: 18 }),
      table(
        "One head’s value matrix, as a square and as two halves",
        ["model", "one square", "down", "up", "both halves"],
        [gpt3, model].map((one) => [one === gpt3 ? "GPT-3" : one.name, whole(one.value.whole), `${whole(one.width)} × ${one.head_size}`, `${one.head_size} × ${whole(one.width)}`, whole(2 * one.value.half)]),
        { numeric: [1, 2, 3, 4] },
      ),
      say("The first half, ", strong("down"), ", is multiplied before the words are mixed: it makes the small values. The second half, ", strong("up"), ", is multiplied ", strong("after mixing"), ": once for the sum, not once for each word. Both steps are only sums and products, so the result is the same as that of one square matrix: their product. Not every square matrix is such a product; that is the price of the smaller number of weights."),
      aside(`Papers and programs put the second halves of all heads of a block side by side in one matrix and call it the output projection, W_O. Query and key save in the same way: their product, a square of ${whole(gpt3.width)} × ${whole(gpt3.width)}, is never built. The biases that are added as well are not counted here.`),
    ],
  });
}

/** The square with 12,288 to a side and the strips 128 wide, to scale. */
function scale({ width, head_size }) {
  const side = 260;
  const thin = (side * head_size) / width;
  const gap = 26;
  const label = `A square of ${whole(width)} by ${whole(width)}, and two strips that are ${head_size} wide: 96 times thinner`;
  return picture(
    2 * side + gap + 40, side + 26, label,
    svg("rect", { x: 1, y: 1, width: side, height: side, class: "weight soft-fill" }),
    svg("text", { x: side / 2, y: side / 2, "text-anchor": "middle", class: "label" }, `${whole(width)} × ${whole(width)}`),
    svg("text", { x: side / 2, y: side + 20, "text-anchor": "middle", class: "label" }, "never built"),
    svg("rect", { x: side + gap, y: 1, width: thin, height: side, class: "weight" }),
    svg("text", { x: side + gap + 10, y: side / 2, class: "label" }, `down: ${whole(width)} × ${head_size}`),
    svg("rect", { x: side + gap + 14, y: 1, width: side, height: thin, class: "weight" }),
    svg("text", { x: side + gap + 20, y: 20, class: "label" }, `up: ${head_size} × ${whole(width)}`),
    svg("text", { x: side * 1.5 + gap, y: side + 20, "text-anchor": "middle", class: "label" }, "what is learned"),
  );
}
