// Chapter 2: a token's vector is looked up in a table.

import { bars } from "../draw/bars.js";
import { values } from "../draw/numbers.js";
import { chip, tokenStrip } from "../draw/token_strip.js";
import { nounOf } from "./drift.js";
import { guess } from "./guess.js";
import { aside, figure, live, say, screen, stripRow, strong } from "./parts.js";
import { fixed, isWord, quoted, whole } from "./words.js";

export const chapter = {
  id: "embedding",
  short: "Embedding",
  title: "A word is looked up",
  sources: ["mikolov", "radford"],
  make(lesson) {
    const { model } = lesson;
    const learned = model.choices.positions === "learned";
    const words = lesson.tokens.map((_, at) => at).filter((at) => at >= lesson.first && isWord(lesson.tokens[at]));
    let position = nounOf(lesson) ?? words.at(-1) ?? lesson.last;
    const picture = figure(`${learned ? "The token’s vector, its position’s vector, and their sum." : "The token’s vector, and what enters the first block."} A bar is one number: upwards above zero, downwards and hatched below.`, () => lookUp(lesson, position), { name: "look-up", tall: 12 });
    const near = live(() => nearest(lesson, position));
    const pick = (at) => {
      position = at;
      picture.again();
      near.again();
    };
    return [
      screen(
        "One row of a table",
        tokenStrip({ tokens: lesson.tokens, chosen: position, label: "Tokens of your text", pick }),
        picture,
        say("The model cannot compute with a word. So every token of the vocabulary has a row of ", strong(`${whole(model.width)} numbers`), `: its vector. The table is the embedding, ${whole(model.vocabulary)} rows of them. They are weights: they were learned, and stay as they are while the model reads.`),
        say("A list of numbers is called a ", strong("vector"), ". Two numbers are a place on a sheet of paper, or an arrow that leads there. With so many numbers it cannot be drawn, but it still has a ", strong("length"), " and a ", strong("direction"), ", which are computed in the same way."),
        aside(learned
          ? `The numbers alone say nothing about the order of words. Therefore each place in the text has a learned vector of its own (there are ${whole(model.context)}), and both are added.`
          : "The numbers alone say nothing about the order of words. In this model nothing is added for it here: in its blocks, the vectors that are compared (chapter 4) are rotated by an angle that grows with the position."),
      ),
      screen("Does the look-up know what stands beside?", sameTwice(lesson)),
      screen("Near words", near),
    ];
  },
};

async function lookUp(lesson, position) {
  const found = await lesson.ask({ ask: "embedding", ids: lesson.ids, position });
  const row = (name, key, kind) => stripRow(name, values(found[key]), { kind });
  const { embedding_factor: factor, embedding_norm: normed } = lesson.model.choices;
  const times = factor === 1 ? "" : `, times ${fixed(factor)}`;
  return [
    row(`row ${lesson.ids[position]} of the embedding: ${lesson.named(position)}${times}`, "token", "weight"),
    found.position && row(`+ row ${position} of the positions`, "position", "weight"),
    row(`= what enters the first block${normed ? ", brought to a common size" : ""}`, "sum", "data"),
  ].filter(Boolean);
}

/** A token that stands twice, or else the same token in another text. */
function sameTwice(lesson) {
  const { ids, tokens } = lesson;
  const later = ids.findIndex((id, at) => at > 0 && isWord(tokens[at]) && ids.indexOf(id) < at);
  const first = later > 0 ? ids.indexOf(ids[later]) : -1;
  const at = later > 0 ? later : (nounOf(lesson) ?? ids.findLastIndex((_, p) => isWord(tokens[p])));
  if (at < 0) return say("Write a word, and it can be looked up.");
  // Where a word stands only once, a text of it alone is the other one.
  const alone = [...ids.slice(0, lesson.first), ids[at]];
  const two = later > 0 ? [[ids, first], [ids, later]] : [[ids, at], [alone, alone.length - 1]];
  const name = quoted(tokens[at]);
  const where = later > 0 ? `${name} stands in your text at positions ${first} and ${later}, with other words around it.` : `${name} stands at position ${at} of your text. A second text is ${name} alone.`;
  return guess(lesson, {
    name: "context",
    ask: `${where} How much do the two rows that are looked up differ?`,
    choices: [["not", "Not at all"], ["little", "A little, by the words around"], ["much", "Much, if the meaning differs"]],
    truth: async () => {
      const [a, b] = await Promise.all(two.map(([ids, position]) => lesson.ask({ ask: "embedding", ids, position })));
      const [x, y] = [values(a.token), values(b.token)];
      const most = x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i])), 0);
      return { value: "not", say: `It is row ${ids[at]} both times; the largest difference of any of the ${x.length} numbers is ${most}.${lesson.model.choices.positions === "learned" ? " (Their sums with the positions differ, because the positions do.)" : ""}` };
    },
    shown: () => [
      say("The look-up knows ", strong("no context"), ". “Leaves” on a tree and “leaves” as in goes away begin as the same vector. All that a word comes to mean in a sentence has to be added afterwards: that is what the blocks are for."),
    ],
  });
}

function nearest(lesson, position) {
  const token = lesson.tokens[position];
  const asked = lesson.ask({ ask: "near", id: token.id, n: 12 }).then(({ near }) => near);
  const choices = asked.then((near) => {
    const some = [near[0], near[5], near[11]].filter(Boolean);
    return some.sort((a, b) => a.id - b.id).map((one) => [one.id, quoted(one)]);
  });
  return guess(lesson, {
    name: "near",
    ask: `Which of these has the vector that is nearest to that of ${lesson.named(position)}?`,
    choices,
    truth: async () => {
      const near = await asked;
      return { value: near[0].id, say: `${quoted(near[0])}: the cosine of the two is ${fixed(near[0].cosine)}.` };
    },
    shown: () => [
      figure("The cosine of two vectors: 1 where they have the same direction, 0 where they are at right angles.", async () => bars((await asked).map((one) => ({ label: chip(one), value: one.cosine, text: fixed(one.cosine) })), { label: `Tokens whose vectors are nearest to ${lesson.named(position)}`, as: "size", kind: "weight", full: 1 }), { name: "near", tall: 14 }),
      say("Nobody told the model that these words are alike. They are used in the same places, and training moved their rows together."),
      aside("This is a measure, not a meaning: a small model’s neighbours are partly chance. Choose another token above and see."),
    ],
  });
}
