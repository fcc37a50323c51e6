// Chapter 6: softmax and temperature.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { matrix } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { guess } from "./guess.js";
import { aside, code, figure, room, say, screen, slider, strong, table } from "./parts.js";
import { plot } from "./plot.js";
import { fixed, percent, quoted, whole } from "./words.js";

const TOP = 10;
const SHARE = 100;

export const chapter = {
  id: "softmax",
  short: "Softmax",
  title: "From scores to shares: softmax, hot and cold",
  sources: ["vaswani", "holtzman"],
  make(lesson) {
    const asked = lesson.ask({ ask: "next", ids: lesson.ids, top: TOP }).then(distribution);
    asked.catch(() => {});
    return [
      screen(
        "Any numbers become shares",
        figure("Three scores: each becomes e to its power, and is divided by the sum. Move them.", () => toy(), { name: "toy" }),
        say("A ", strong("softmax"), " makes shares out of scores: all above 0, together 1. Only differences count: a score that is higher by 1 has 2.72 times the share. It stands at two places in a GPT: in every head (from scores to attention) and at the very end (from logits to the probabilities of the next token)."),
      ),
      screen("Hot and cold", hot(lesson, asked)),
      screen("Why above 2 is refused", limit(lesson, asked)),
    ];
  },
};

/** The distribution as probabilities at any temperature. */
function distribution({ top, logprobs }) {
  const raw = matrix(logprobs).data;
  const finite = Array.from(raw).filter(Number.isFinite);
  const most = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = (t) => finite.reduce((sum, x) => sum + Math.exp((x - most) / t), 0);
  const at = (logprob, t) => (t === 0 ? Number(logprob === most) : Math.exp((logprob - most) / t) / sum(t));
  const sorted = finite.sort((a, b) => b - a);
  const outside = (t, n = SHARE) => {
    const all = sum(t);
    let mass = 0;
    for (let rank = n; rank < sorted.length; rank++) mass += Math.exp((sorted[rank] - most) / t);
    return mass / all;
  };
  return { top, at, outside, size: sorted.length };
}

function toy() {
  const scores = [2, 1, -1];
  const names = ["A", "B", "C"];
  const out = make("div");
  const draw = () => {
    const powers = scores.map(Math.exp);
    const sum = powers.reduce((a, b) => a + b, 0);
    out.replaceChildren(bars(scores.map((score, at) => ({ label: names[at], value: powers[at] / sum, note: `e^${fixed(score, 1)} = ${fixed(powers[at])}` })), { label: "Shares", full: 1 }));
  };
  draw();
  const sliders = scores.map((score, at) => slider({ label: `Score ${names[at]}`, from: -4, to: 4, step: 0.1, value: score, write: (x) => fixed(x, 1), change: (x) => {
    scores[at] = x;
    draw();
  } }));
  return make("div", { class: "side-by-side" }, make("div", {}, ...sliders), out);
}

function hot(lesson, asked) {
  const question = make("span", {}, "…");
  asked.then(({ top, at }) => question.replaceChildren(`After your text, ${quoted(top[0])} is most probable: ${percent(at(top[0].logprob, 1))}. The scores of all tokens (logits, chapter 12) are now divided by a temperature of 2 before the softmax. How probable is it then?`), () => {});
  return guess(lesson, {
    name: "hot",
    ask: question,
    range: { from: 0, to: 100, step: 1, value: 60, write: (x) => `${x} %` },
    near: 6,
    truth: async () => {
      const { top, at } = await asked;
      const p = at(top[0].logprob, 2);
      return { value: Math.round(1000 * p) / 10, say: `At temperature 2, ${quoted(top[0])} has ${percent(p)}.` };
    },
    shown: () => [
      figure("The next token at a temperature. The rest is the sum over all tokens that are not in the list.", () => thermometer(asked), { name: "temperature", tall: 16 }),
      say("Below 1 is ", strong("cold"), ": differences grow, and the most probable token takes more. Above 1 is ", strong("hot"), ": differences shrink, and improbable tokens gain. At 0 nothing is divided: the most probable token is taken. The order of the tokens never changes."),
    ],
  });
}

async function thermometer(asked) {
  const found = await asked;
  const out = make("div");
  const draw = (t) => {
    const rows = found.top.map((one) => ({ label: chip(one), value: found.at(one.logprob, t) }));
    const rest = Math.max(0, 1 - rows.reduce((sum, { value }) => sum + value, 0));
    rows.push({ label: make("span", { class: "note" }, `${whole(found.size - rows.length)} others`), value: rest });
    out.replaceChildren(bars(rows, { label: `Probabilities at temperature ${fixed(t, 1)}`, full: 1 }));
  };
  draw(1);
  return [slider({ label: "Temperature", from: 0, to: 10, step: 0.1, value: 1, write: (t) => fixed(t, 1), change: draw }), out];
}

function limit(lesson, asked) {
  return guess(lesson, {
    name: "outside",
    ask: `Put all tokens in the order of their probability. How much of the probability lies outside the first ${SHARE}, at temperature 2?`,
    range: { from: 0, to: 100, step: 1, value: 5, write: (x) => `${x} %` },
    near: 5,
    truth: async () => {
      const { outside } = await asked;
      return { value: Math.round(1000 * outside(2)) / 10, say: `At temperature 1 it is ${percent(outside(1))}, at 2 it is ${percent(outside(2))}: about one token in ${whole(Math.max(1, 1 / outside(2)))} is drawn from the tail.` };
    },
    shown: () => [
      figure(`The probability outside the first ${SHARE} tokens, over the temperature. The line at 2 is the limit.`, () => tail(asked), { name: "tail", tall: 14 }),
      figure("What is written, 24 tokens with the same seed.", () => written(lesson), { name: "written", tall: 10 }),
      say("One token from the tail can spoil a sentence, because all that follows builds on it. The hotter, the more of them are drawn."),
      aside("There is no wall at 2: it is a convention, which other programs share. Glass refuses more, unless ", code("hot"), " is allowed by name, because then almost every text is noise. Top-k, top-p and min-p cut the tail off before drawing."),
    ],
  });
}

async function tail(asked) {
  const { outside, size } = await asked;
  const points = Array.from({ length: 60 }, (_, at) => [0.1 + at * 0.1, 100 * outside(0.1 + at * 0.1)]);
  const flat = 100 * Math.max(0, 1 - SHARE / size);
  return [
    plot([{ points, kind: "data", fill: true }, { points: [[0.1, flat], [6, flat]], kind: "faint", dash: true }], { label: `The share outside the first ${SHARE} tokens grows with the temperature`, x: "temperature", width: room(), y: "%", from: 0, to: 100, xFrom: 0, xTo: 6, marks: [[2, "2"]], write: (y) => `${y}` }),
    make("p", { class: "note" }, `Dashed: all ${whole(size)} tokens equally probable, ${percent(flat / 100)}.`),
  ];
}

async function written(lesson) {
  const temperatures = [0, 0.7, 1, 2];
  const rows = [];
  for (const temperature of temperatures) {
    const { text } = await lesson.ask({ ask: "generate", ids: lesson.ids, tokens: 24, temperature, top_p: 1, top_k: 0, min_p: 0, seed: 1 });
    rows.push([fixed(temperature, 1), make("span", { class: "written" }, text.trim() || "(it ends here)")]);
  }
  return table("Texts at four temperatures", ["temperature", "the text goes on"], rows);
}
