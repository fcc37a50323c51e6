// Chapter 11: the last vector must hold everything. A story whose last word names the culprit.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { matrix, values } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { strip } from "../draw/vector.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { aside, figure, line, live, room, say, screen, strong, table, withWords } from "./parts.js";
import { fixed, isWord, percent, quoted, whole } from "./words.js";

const SEARCH = "Lily hid the ball in the box. Tom looked for the ball. He looked under the bed. He looked in the garden. Then he found the ball in the";
const SUSPECTS = ["Tom", "Sue", "Ben"];
const story = ([culprit, second, third]) => `Mom made a big cake. ${culprit} ate the cake. ${second} was in the garden. ${third} was in bed. Mom said, "You ate the cake,`;

export const chapter = {
  id: "last",
  short: "The last vector",
  title: "The last vector must hold everything",
  sources: ["sanderson", "elhage", "jain", "eldan"],
  make(lesson) {
    const { model } = lesson;
    const deciding = live(() => whatDecided(lesson, lesson.field("story", SEARCH)));
    return [
      screen(
        "A whole story in one vector",
        figure(`The vector at the last token of your text, after the last block: ${whole(model.width)} numbers. All that is said next is read from it, and from nothing else.`, async () => {
          const { vector, top } = await lesson.ask({ ask: "last", ids: lesson.ids, top: 3 });
          return [strip(values(vector), { height: 64, width: room(736), label: `The last vector: ${vector.cols} numbers` }), make("p", { class: "token-row" }, "→ ", ...top.map((one) => make("span", {}, chip(one), ` ${percent(Math.exp(one.logprob))} `)))];
        }, { name: "vector", tall: 8 }),
        say("Imagine a detective novel. Its last sentence is: “Therefore, the murderer was”. Now the next word has to come. The vectors of all earlier words are not asked any more: ", strong("only the last one"), " is. If the model is to name the murderer, everything that matters in the novel has to have arrived in the vector of the word “was”."),
      ),
      screen("Who ate the cake?", ...withWords(lesson, () => [suspects(lesson)])),
      screen("Which word decided?", lesson.hasWords ? line(lesson, { name: "story", label: "A story without its last word", rows: 2, value: lesson.field("story", SEARCH), change: deciding.again }) : null, deciding),
    ];
  },
};

/** The same story with each of three as the culprit: does the last vector know? */
function suspects(lesson) {
  const orders = SUSPECTS.map((_, at) => [0, 1, 2].map((by) => SUSPECTS[(at + by) % 3]));
  const asked = Promise.all(orders.map((order) => oneTrial(lesson, order)));
  asked.catch(() => {});
  const right = (trials) => trials.filter(({ named, culprit }) => named === culprit).length;
  return guess(lesson, {
    name: "culprit",
    ask: `“${story(["…", "…", "…"])} …” The story is told three times, with Tom, Sue and Ben as the culprit in turn. In how many of the three does this model think the culprit more probable than the other two?`,
    choices: [0, 1, 2, 3].map((n) => [n, `${n} of 3`]),
    truth: async () => {
      const n = right(await asked);
      return { value: n, say: n === 3 ? "3 of 3." : `${n} of 3. It is a small model, and it makes mistakes; what counts is how the probabilities move.` };
    },
    shown: () => [
      figure("The probability of each name as the next word. ◀ marks who really ate the cake.", async () => trialTable(await asked), { name: "suspects", tall: 8 }),
      say("The last words are the same in all three stories. Where the probabilities differ, something of the sentences before has reached the last vector, through attention, over several blocks."),
      aside("Where a model fails, the information has not arrived, or something else was stronger, for example that one name is frequent in the stories it learned from."),
    ],
  });
}

async function oneTrial(lesson, order) {
  const { ids } = await lesson.tokensOf(story(order));
  const names = await Promise.all(SUSPECTS.map((name) => lesson.ask({ ask: "tokens", text: ` ${name}`, start: false })));
  const { logprobs, top } = await lesson.ask({ ask: "next", ids, top: 1 });
  const all = matrix(logprobs);
  const shares = SUSPECTS.map((name, at) => ({ name, p: Math.exp(all.at(0, names[at].ids[0])) }));
  return { culprit: order[0], shares, top: top[0], named: shares.reduce((a, b) => (b.p > a.p ? b : a)).name };
}

function trialTable(trials) {
  const rows = trials.map(({ culprit, shares, top, named }) => [
    `${culprit} ate it`,
    ...shares.map(({ name, p }) => make("span", { class: name === named ? "most" : null }, percent(p), name === culprit ? " ◀" : "")),
    make("span", {}, chip(top), ` ${percent(Math.exp(top.logprob))}`),
  ]);
  return table("Three stories, three names", ["story", ...SUSPECTS, "most probable of all"], rows, { numeric: [1, 2, 3] });
}

function whatDecided(lesson, text) {
  const reading = lesson.hasWords ? lesson.tokensOf(text) : Promise.resolve({ ids: lesson.ids, tokens: lesson.tokens });
  const why = reading.then(({ ids }) => lesson.ask({ ask: "why", ids, top: 8 }, () => {}));
  why.catch(() => {});
  const choices = Promise.all([reading, why]).then(([{ tokens }, { words }]) => {
    const strongest = words[0];
    const others = tokens.map((token, at) => [at, token]).filter(([at, token]) => at > 0 && isWord(token) && (token.text ?? "").trim().length > 2 && !(at >= strongest.from && at < strongest.to));
    const step = Math.max(1, Math.floor(others.length / 4));
    const some = others.filter((_, at) => at % step === 0).slice(0, 4).map(([at, token]) => [at, `${quoted(token)}, position ${at}`]);
    return [...some, [strongest.from, `“${strongest.text.trim()}”, position ${strongest.from}`]].sort((a, b) => a[0] - b[0]);
  });
  choices.catch(() => {});
  return guess(lesson, {
    name: "decided",
    ask: "One word at a time is hidden from all words after it. Hiding which of these makes the model’s answer least probable?",
    choices,
    truth: async () => {
      const { words, sentence } = await why;
      return { value: words[0].from, say: sentence };
    },
    shown: () => [
      figure("Each word hidden in turn: what is left of the probability of the model’s answer. The shorter the bar, the more depends on the word.", async () => hidden(await reading, await why), { name: "why", tall: 18 }),
      figure("What reaches the logit of the answer directly from each word, through all heads (direct attribution).", async () => direct(lesson, await reading), { name: "direct", tall: 8 }),
      say("The two do not say the same. Hiding is a ", strong("change"), ": it shows what the answer depends on, also by way of other words. The direct part only counts the last step, from a word straight to the last vector."),
      closer(lesson, "why", reading.then(({ ids }) => ({ ids })), "The whole sweep, with the heads that read the word"),
    ],
  });
}

function hidden({ tokens }, { token, logprob, words, instead }) {
  const rows = [{ label: "nothing hidden", value: Math.exp(logprob) }, ...words.map(({ from, text, without_logprob, without_top }) => ({ label: `without “${text.trim()}” (${from})`, value: Math.exp(without_logprob), note: without_top.id === token.id ? null : make("span", {}, "then ", chip(without_top)) }))];
  return [
    make("p", { class: "token-row laid" }, ...tokens.map((token, at) => chip(token, at >= words[0].from && at < words[0].to ? "joined" : ""))),
    make("p", { class: "answer-line" }, "The model’s answer: ", chip(token), ` ${percent(Math.exp(logprob))}`),
    bars(rows, { label: `The probability of ${quoted(token)} with a word hidden`, full: 1 }),
    instead ? make("p", { class: "note" }, `Without the strongest word, the story would go on: “${instead.text.trim()}”`) : null,
  ];
}

async function direct(lesson, { ids, tokens }) {
  const { positions, logit, token } = await lesson.ask({ ask: "last", ids, top: 1 });
  const best = positions.map((value, at) => ({ value, at })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 8);
  return [
    bars(best.map(({ value, at }) => ({ label: make("span", {}, chip(tokens[at]), make("span", { class: "note" }, ` ${at}`)), value, text: fixed(value) })), { label: `What words add to the logit of ${quoted(token)}`, as: "signed" }),
    make("p", { class: "note" }, `The whole logit is ${fixed(logit)}; the rest comes from the MLPs${lesson.model.bias ? ", the embedding and the biases" : " and the embedding"}.`),
  ];
}
