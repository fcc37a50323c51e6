// Chapter 14: the context, and what long ones cost.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { bytes } from "../draw/numbers.js";
import { guess } from "./guess.js";
import { aside, figure, room, say, screen, strong, table } from "./parts.js";
import { plot } from "./plot.js";
import { clock, fit } from "./timing.js";
import { fixed, percent, time, whole } from "./words.js";

export const chapter = {
  id: "context",
  short: "The context",
  title: "Why long contexts cost so much",
  sources: ["vaswani", "brown", "dao", "kaplan"],
  make(lesson) {
    const { gpt3 } = lesson.model;
    return [
      screen(
        "All that it can see",
        figure("One square for each pair of tokens: for 8, 16 and 32 tokens.", () => make("div", { class: "squares", role: "img", "aria-label": "Twice as many tokens make four times as many pairs" }, ...[8, 16, 32].map((n) => square(n))), { name: "squares" }),
        say(`The context is the number of tokens a model can see at once. GPT-3’s is ${whole(gpt3.context)}: so many vectors of ${whole(gpt3.width)} numbers flow side by side through ${gpt3.layers} blocks. This model’s is ${whole(lesson.model.context)}. What lies before it does not exist for the model.`),
        say("Every token looks at all before it. T tokens make T × T pairs, and the mask allows about half of them: so many scores in each head. Twice the text, ", strong("four times"), " the scores."),
      ),
      screen("Timed on this machine", timed(lesson)),
      screen("And in GPT-3?", large(lesson)),
    ];
  },
};

/** Squares of pairs, each pair as large. */
function square(n) {
  const box = make("div", { class: "pairs", "aria-hidden": "true" }, make("span", { class: "note" }, `${n} × ${n} = ${whole(n * n)}`));
  const field = make("div", { class: "field" });
  field.style.width = `${n * 5}px`;
  field.style.height = `${n * 5}px`;
  box.prepend(field);
  return box;
}

/** Multiply-adds of a pass over T tokens: the part that grows with T, and the part that grows with T². */
function counted(model, tokens) {
  const block = model.groups.filter(({ name }) => !name.includes("embedding")).reduce((sum, { weights }) => sum + weights, 0);
  // Scores and mixing: each position with itself and those before it, `head_size` products twice, in every head.
  const square = 2 * model.layers * model.heads * model.head_size * ((tokens * (tokens + 1)) / 2);
  return { linear: block * tokens, square };
}

function timed(lesson) {
  const { model } = lesson;
  const sizes = [];
  for (let tokens = 8; tokens < model.context; tokens *= 2) sizes.push(tokens);
  sizes.push(model.context);
  const long = Math.min(model.context, sizes.at(-1));
  const middle = sizes[Math.max(0, sizes.length - 3)];
  const measure = (tell) => {
    measure.tell = tell ?? measure.tell;
    return (measure.done ??= clock(lesson, sizes, (text) => measure.tell?.(text)));
  };
  return guess(lesson, {
    name: "four",
    waiting: "Measuring, a few seconds…",
    ask: `One pass over ${middle} tokens takes some time. How many times as long will one over ${long} tokens take, ${fixed(long / middle, 0)} times as many?`,
    choices: [["less", `Less than ${fixed(0.9 * (long / middle), 1)} times`], ["linear", `About ${fixed(long / middle, 0)} times`], ["some", `Between ${fixed(1.2 * (long / middle), 1)} and ${fixed(0.8 * (long / middle) ** 2, 1)} times`], ["square", `About ${fixed((long / middle) ** 2, 0)} times`]],
    truth: async () => {
      const found = await measure();
      const of = (tokens) => found.points.find(([t]) => t === tokens)[1];
      const ratio = of(long) / of(middle);
      const r = long / middle;
      const value = ratio < 0.9 * r ? "less" : ratio < 1.2 * r ? "linear" : ratio < 0.8 * r * r ? "some" : "square";
      return { value, say: `${fixed(ratio, 1)} times, measured just now: ${time(of(middle))} and ${time(of(long))}.` };
    },
    shown: () => [curveOf(lesson, measure), say("Two things are mixed in this time. The products with the ", strong("weights"), " are done once for each token: twice the text, twice the work. The ", strong("scores and mixed values"), " are done for each pair: twice the text, four times the work. While a text is short, the first are nearly everything.")],
  });
}

function curveOf(lesson, measure) {
  const progress = make("p", { class: "note", role: "status" }, "Measuring…");
  const picture = figure("The time of one pass, and the part of the fitted curve that grows with T².", async () => {
    const found = await measure((text) => (progress.textContent = text));
    progress.textContent = "";
    const { a, b, c } = fit(found.points);
    const last = found.points.at(-1)[0];
    const dense = Array.from({ length: 41 }, (_, at) => (last * at) / 40);
    const squared = c * last * last;
    const total = found.points.at(-1)[1];
    const count = counted(lesson.model, last);
    const miss = Math.max(...found.points.map(([t, ms]) => Math.abs(a + b * t + c * t * t - ms) / ms));
    const packed = lesson.model.packing?.startsWith("q") ? "The products with weights are done in 8 bits here, several at once; scores are not, so each of them takes longer." : "";
    return [
      plot(
        [
          { points: dense.map((t) => [t, c * t * t]), kind: "weight", fill: true, dash: true },
          { points: found.points, kind: "data", dots: true },
        ],
        { label: `The time of a pass grows from ${time(found.points[0][1])} for ${found.points[0][0]} tokens to ${time(total)} for ${last}`, x: "tokens T", width: room(), y: "ms", from: 0, xFrom: 0, write: (y) => String(y) },
      ),
      make("p", { class: "note" }, make("span", { class: "key data" }), "measured, the fastest of several", make("span", { class: "key weight" }), "the part with T², as fitted"),
      table("Times of a pass", ["tokens", "fastest", "times of the row above"], found.points.map(([t, ms], at) => [whole(t), time(ms), at ? fixed(ms / found.points[at - 1][1], 2) : ""]), { numeric: [0, 1, 2] }),
      say(`At ${whole(last)} tokens, the fitted part with T² is ${percent(squared / total)} of the time. Counted by multiplications it is ${percent(count.square / (count.square + count.linear))}. ${packed}`),
      aside(`Fitted: ${fixed(a, 2)} ms + ${fixed(1000 * b, 1)} ms for a thousand tokens + ${fixed(1e6 * c, 1)} ms for a million pairs of tokens. The fit misses the measured points by up to ${percent(miss)}${miss > 0.15 ? ": too much to trust its parts; measure again when the machine is quiet" : ""}. ${found.remark} Only the sum can be measured, not its parts.`),
      make("button", { type: "button", onclick: () => again(), "data-measure": "" }, "Measure again"),
    ];
  }, { name: "timing", tall: 20 });
  const again = () => {
    measure.done = null;
    picture.again();
  };
  return make("div", {}, progress, picture);
}

function large(lesson) {
  const { gpt3 } = lesson.model;
  const asked = lesson.ask({ ask: "context", tokens: gpt3.context, gpt3: true });
  asked.catch(() => {});
  const count = (tokens) => counted(gpt3, tokens);
  const share = (tokens) => count(tokens).square / (count(tokens).square + count(tokens).linear);
  return guess(lesson, {
    name: "gpt3",
    ask: `In GPT-3 at its full context of ${whole(gpt3.context)} tokens: how much of the arithmetic is the part that grows with T²?`,
    range: { from: 0, to: 100, step: 1, value: 50, write: (x) => `${x} %` },
    near: 3,
    truth: () => ({ value: Math.round(1000 * share(gpt3.context)) / 10, say: `${percent(share(gpt3.context))}. The rest is products with the weights. With 100 times the context it would be ${percent(share(100 * gpt3.context))}.` }),
    shown: () => [
      figure("The part of the arithmetic that grows with T², for a model of GPT-3’s shape.", () => bars([1, 8, 64, 512].map((times) => ({ label: `${whole(times * gpt3.context)} tokens`, value: share(times * gpt3.context) })), { label: "Share of the T² part", full: 1 }), { name: "gpt3-share" }),
      figure(null, async () => memory(gpt3, await asked), { name: "gpt3-memory", tall: 8 }),
      say(`So at ${whole(gpt3.context)} tokens the pairs are not yet what costs; at 100,000 they would be ${percent(share(100_000))} of the arithmetic. `, strong("Memory"), " is felt earlier: keys and values of every token have to be kept for each conversation, and to write one token all of them are read."),
      aside("Scores need not be stored whole: they can be computed in pieces and forgotten, with the same result. Their number stays T²."),
    ],
  });
}

function memory(gpt3, found) {
  const scores = found.pattern * found.patterns;
  const kept = 2 * gpt3.layers * gpt3.context * gpt3.width;
  const rows = [
    ["vectors that flow, in one layer", `${whole(gpt3.context)} × ${whole(gpt3.width)}`, whole(found.vectors)],
    ["scores of one head", `${whole(gpt3.context)}²`, whole(found.pattern)],
    [`scores of all ${whole(found.patterns)} heads`, `× ${whole(found.patterns)}`, whole(scores)],
    ["keys and values that are kept", `2 × ${gpt3.layers} × ${whole(gpt3.context)} × ${whole(gpt3.width)}`, whole(kept)],
    ["the same as memory", "2 bytes each, one conversation", bytes(2 * kept)],
  ];
  return table("What a full context of GPT-3 takes", ["what", "how many", "together"], rows, { numeric: [2] });
}
