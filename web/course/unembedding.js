// Chapter 12: from the last vector to a probability for every token.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { values } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { number } from "../draw/number.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { aside, figure, say, screen, stripRow, strong, table } from "./parts.js";
import { fixed, percent, quoted, whole } from "./words.js";

export const chapter = {
  id: "unembedding",
  short: "Unembedding",
  title: "From the last vector to the next word",
  sources: ["press", "radford", "ba"],
  make(lesson) {
    const { model } = lesson;
    const asked = lesson.ask({ ask: "last", ids: lesson.ids, top: 6 });
    asked.catch(() => {});
    return [
      screen(
        "One product for every token",
        figure(null, async () => product(lesson, await asked), { name: "product", tall: 16 }),
        say("Each token of the vocabulary has a row in the unembedding. The last vector is multiplied with each row, number by number, and summed. The sum is the token’s ", strong("logit"), `: ${whole(model.vocabulary)} rows, ${whole(model.vocabulary)} logits, ${whole(model.vocabulary * model.width)} multiplications.`),
        model.tied
          ? aside("In this model the table is tied: the unembedding is the embedding itself, used the other way round. The rows that words are looked up in are the rows that the last vector is compared with. GPT-2 is built so too, and GPT-3 follows its design.")
          : aside("In this model the unembedding is a table of its own, not the embedding."),
      ),
      screen("From logits to probabilities", difference(lesson, asked)),
      screen(
        "And again",
        figure("The most probable token is taken, put at the end, and all begins anew.", () => next(lesson), { name: "next", tall: 6 }),
        say("That is all a GPT does: one token. A text is this, repeated. Nothing of the plan for a sentence is kept outside the tokens and what was computed for them."),
      ),
    ];
  },
};

function product(lesson, found) {
  const [vector, row] = [values(found.normed), values(found.unembedding)];
  const products = vector.map((value, at) => value * row[at]);
  const one = (name, numbers, kind) => stripRow(name, numbers, { kind });
  const sum = products.reduce((a, b) => a + b, 0);
  const { logit_factor: factor, logit_cap: cap } = lesson.model.choices;
  // In words, what a model does with the sum.
  const after = [factor !== 1 && `times ${fixed(factor)}`, cap && `held between −${cap} and ${cap}`].filter(Boolean).join(", ");
  const given = cap ? cap * Math.tanh((factor * sum) / cap) : factor * sum;
  const rest = found.logit - given;
  return [
    one(`the last vector at ${lesson.named(lesson.last)}, brought to a common size by the last norm`, vector, "data"),
    one(`× the row of ${quoted(found.token)} in the unembedding`, row, "weight"),
    one("= the products, one for each number", products, "data"),
    make("p", { class: "course-sum" }, `their sum, ${after && `${fixed(sum)}, ${after}, `}the logit of `, chip(found.token), ": ", number(found.logit, { logit: found.token.id, position: lesson.last }, { text: fixed(found.logit) })),
    Math.abs(rest) > 0.005 ? make("p", { class: "note" }, `The products shown give ${fixed(given)}; the model computes with inputs rounded to 8 bits here, which makes the difference of ${fixed(rest, 3)}.`) : null,
  ];
}

/** A ratio; small ones need more digits. */
const times = (x) => fixed(x, x < 2 ? 2 : 1);

function difference(lesson, asked) {
  const question = make("span", {}, "…");
  const choices = asked.then(({ top }) => {
    const ratio = Math.exp(top[0].logprob - top[1].logprob);
    const d = top[0].logprob - top[1].logprob;
    question.replaceChildren(`The logit of ${quoted(top[0])} is ${fixed(d)} above that of ${quoted(top[1])}. So ${quoted(top[0])} is …`);
    const all = [["diff", `${fixed(d)} percent more probable`], ["times", d < 1.05 ? "just as probable" : `${fixed(d, 1)} times as probable`], ["power", `${times(ratio)} times as probable`]];
    return all;
  });
  return guess(lesson, {
    name: "ratio",
    ask: question,
    choices,
    truth: async () => {
      const { top } = await asked;
      const d = top[0].logprob - top[1].logprob;
      return { value: "power", say: `e to the power of ${fixed(d)} is ${times(Math.exp(d))}. ${quoted(top[0])} has ${percent(Math.exp(top[0].logprob))}, ${quoted(top[1])} ${percent(Math.exp(top[1].logprob))}.` };
    },
    shown: () => [
      figure("The most probable next tokens of your text.", async () => {
        const { top, logit, token } = await asked;
        const at = top.find(({ id }) => id === token.id);
        const rows = top.map((one) => [chip(one), fixed(logit + one.logprob - at.logprob), percent(Math.exp(one.logprob))]);
        return [bars(top.map((one) => ({ label: chip(one), value: Math.exp(one.logprob) })), { label: "Next tokens", full: 1 }), make("details", {}, make("summary", {}, "With their logits"), table("Logits and probabilities", ["token", "logit", "probability"], rows, { numeric: [1, 2] }))];
      }, { name: "top", tall: 10 }),
      say("The softmax of chapter 6 makes probabilities out of logits: ", strong("every"), ` token gets one, also those that are absurd here. All ${whole(lesson.model.vocabulary)} together are 1.`),
      closer(lesson, "next", { position: lesson.last }, "The whole distribution, and where each number comes from"),
    ],
  });
}

async function next(lesson) {
  const { ids, text } = await lesson.ask({ ask: "generate", ids: lesson.ids, tokens: 8, temperature: 0, top_p: 1, top_k: 0, min_p: 0, seed: 0 });
  const { tokens } = ids.length ? await lesson.ask({ ask: "pieces", ids }) : { tokens: [] };
  return [make("p", { class: "token-row story" }, `${lesson.text} `, ...tokens.map((token) => chip(token, "new"))), text ? null : make("p", { class: "note" }, "The most probable token is the one that ends the text.")];
}
