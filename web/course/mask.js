// Chapter 5: the mask. Later words must not speak to earlier ones.

import { make } from "../dom.js";
import { grid } from "../draw/grid.js";
import { matrix } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { clearHead } from "./heads_found.js";
import { aside, figure, say, screen, strong, table } from "./parts.js";
import { fixed, isWord, percent, quoted, shownText, whole } from "./words.js";

const MOST = 20;

export const chapter = {
  id: "mask",
  short: "The mask",
  title: "Why later words must not speak to earlier ones",
  sources: ["vaswani", "radford"],
  make(lesson) {
    const middle = withNext(lesson);
    const head = clearHead(lesson);
    return [
      screen(
        "One text, many exercises",
        guess(lesson, {
          name: "leak",
          ask: `In training, every position has to predict its next token, all at the same time: at ${lesson.named(middle)} the right answer is ${lesson.named(middle + 1)}. What if ${lesson.named(middle)} could also look at ${lesson.named(middle + 1)}?`,
          choices: [
            ["better", "It would understand the text better, and predict better"],
            ["leak", "It would copy the answer, and learn nothing else"],
            ["same", "Nothing would change"],
          ],
          truth: () => ({ value: "leak", say: "The answer would stand in its input. The loss would fall to almost nothing in training, and when the model writes a new text, where no later words exist yet, it could not do it." }),
          shown: () => [
            figure("What the model predicts at every position of your text, in one pass.", () => exercises(lesson), { name: "exercises", tall: 16 }),
            say("A text of T tokens is T exercises in one pass. That is a reason why transformers learn from text so well. It is only allowed if each position sees ", strong("itself and what came before"), "."),
          ],
        }),
      ),
      screen(
        "The mask",
        figure(null, () => triangle(lesson, head), { name: "triangle", tall: 16 }),
        say("Each row is a word that asks, each column a word that answers. Before the softmax, the scores to the right of the diagonal are set to −∞; so their shares are exactly 0. A word sees itself: the diagonal remains."),
        windows(lesson.model),
        closer(lesson, "attention", head, "The whole head, with its scores before and after the mask"),
      ),
      screen(
        "What was computed stays right",
        guess(lesson, {
          name: "again",
          ask: `The model wrote a token and goes on. How many of the vectors of the ${lesson.ids.length} tokens before it have to be computed again?`,
          choices: [["all", `All ${lesson.ids.length}`], ["last", "Those of the last few"], ["none", "None"]],
          truth: async () => ({ value: "none", say: await unchanged(lesson, middle) }),
          shown: () => [
            say("No vector knows anything of what comes later, so nothing changes when something comes. Only the new token passes through the blocks; it needs the ", strong("keys and values"), " of the others, which are kept. This store is called the KV cache."),
            aside("The price: a word early in a text never learns how the text went on. “Bank” cannot know that a river follows; only the words after the river do."),
          ],
        }),
      ),
    ];
  },
};

/** Blocks that do not look all the way back. */
function windows({ choices, layers }) {
  const some = choices.windows.filter(Boolean);
  return some.length ? aside(`In this model ${whole(some.length)} of ${whole(layers)} blocks also hide what is further back: they see the last ${whole(Math.max(...some))} tokens. What is earlier reaches them through the other blocks, or in steps.`) : null;
}

/** A word that another word follows, about the middle of the text. */
function withNext({ tokens, first, last }) {
  const middle = Math.max(first, Math.min(last - 1, Math.floor(tokens.length / 3)));
  const fits = (at) => at < last && isWord(tokens[at]) && isWord(tokens[at + 1]);
  const found = tokens.map((_, at) => at).filter(fits);
  return found.reduce((best, at) => (Math.abs(at - middle) < Math.abs(best - middle) ? at : best), found[0] ?? middle);
}

/** Every position with what it predicts and what really follows. */
async function exercises(lesson) {
  const { ids, tokens } = lesson;
  const from = Math.max(0, ids.length - 1 - MOST);
  const positions = Array.from({ length: ids.length - 1 - from }, (_, at) => from + at);
  const found = [];
  for (const position of positions) {
    const next = await lesson.ask({ ask: "next", ids, position, top: 1 });
    const logprob = matrix(next.logprobs).at(0, ids[position + 1]);
    found.push({ position, top: next.top[0], logprob });
  }
  const loss = -found.reduce((sum, { logprob }) => sum + logprob, 0) / found.length;
  const right = found.filter(({ top, position }) => top.id === ids[position + 1]).length;
  const rows = found.map(({ position, top, logprob }) => {
    const hit = top.id === ids[position + 1];
    return [chip(tokens[position]), make("span", {}, chip(top), ` ${percent(Math.exp(top.logprob))}`), make("span", {}, chip(tokens[position + 1]), hit ? " ✓" : ""), percent(Math.exp(logprob)), fixed(-logprob)];
  });
  return [
    table("Every position as an exercise", ["at", "most probable next", "what follows", "its probability", "loss"], rows, { numeric: [3, 4] }),
    make("p", { class: "note" }, `${right} of ${found.length} right. The loss is −ln(probability of what follows); its mean, ${fixed(loss)}, is what training makes small. ${from ? `The first ${from} are left out.` : ""}`),
  ];
}

async function triangle(lesson, head) {
  const { block, head: number } = await head;
  const { ids, tokens } = lesson;
  if (ids.length > 128) return make("p", { class: "note" }, "The text is too long to draw all pairs of its tokens; shorten it to at most 128.");
  const found = await lesson.ask({ ask: "attention", ids, block, head: number });
  const pattern = matrix(found.pattern);
  const names = tokens.map(shownText);
  const drawn = grid({
    rows: ids.length, cols: ids.length, kind: "data", full: 1, rowLabels: names, colLabels: names,
    label: `The attention of head ${number} of block ${block}: nothing to the right of the diagonal`,
    value: (r, c) => (c > r ? null : pattern.at(r, c)),
    cell: Math.max(4, Math.min(22, Math.floor(440 / ids.length))),
  });
  const pairs = (ids.length * (ids.length + 1)) / 2;
  return [drawn, make("p", { class: "note" }, `Head ${number} of block ${block}. Of ${whole(ids.length ** 2)} pairs, ${whole(pairs)} are allowed.`)];
}

/** A real comparison: a position's vector with and without what comes after it. */
async function unchanged(lesson, position) {
  const ids = lesson.ids;
  const [short, long] = await Promise.all([ids.slice(0, position + 1), ids].map((some) => lesson.ask({ ask: "next", ids: some, position, top: 1 })));
  const [a, b] = [matrix(short.logprobs), matrix(long.logprobs)];
  const most = a.data.reduce((most, value, at) => Math.max(most, Number.isFinite(value) ? Math.abs(value - b.data[at]) : 0), 0);
  const after = lesson.last - position;
  return `Compared just now: all ${whole(a.cols)} log-probabilities at ${quoted(lesson.tokens[position])}, with the ${after} ${after === 1 ? "token" : "tokens"} after it and without. The largest difference is ${most === 0 ? "0, to the last bit" : fixed(most, 6)}.`;
}
