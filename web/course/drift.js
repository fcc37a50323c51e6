// Chapter 3: the same word in two sentences, and a noun with its adjective.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { curve } from "../draw/curve.js";
import { tokenStrip } from "../draw/token_strip.js";
import { guess } from "./guess.js";
import { aside, figure, line, live, room, say, screen, strong, withWords } from "./parts.js";
import { fixed, isWord, percent, quoted } from "./words.js";

const PAIR = ["The tree had green leaves", "Then the man soon leaves"];
const THIRD = "The bush had brown leaves";

export const chapter = {
  id: "same-word",
  short: "Same word",
  title: "The same word in two sentences",
  sources: ["ethayarajh", "elhage"],
  make(lesson) {
    const taking = live(() => noun(lesson, () => taking.again()));
    return [
      screen(
        "One vector becomes two",
        say(`The vectors now pass through the `, strong("blocks"), `: this model has ${lesson.model.layers} of them, one after the other. Each block has two parts. Attention brings in something of other words (chapters 4 to 8), the MLP works on each vector by itself (chapter 9). Both add numbers to the vector.`),
        ...withWords(lesson, () => twoSentences(lesson)),
      ),
      screen("A noun takes in its adjective", taking),
    ];
  },
};

function twoSentences(lesson) {
  const drifting = live(() => pair(lesson));
  const field = (at) => line(lesson, { name: "ab"[at], label: at ? "… and another that ends with the same word" : "A sentence …", value: lesson.field("ab"[at], PAIR[at]), change: drifting.again });
  return [make("div", { class: "two-lines" }, field(0), field(1)), drifting];
}

/** The tokens at the end that two texts share. */
function sharedEnd(a, b) {
  let n = 0;
  while (n < Math.min(a.length, b.length) - 1 && a[a.length - 1 - n].id === b[b.length - 1 - n].id) n += 1;
  return n;
}

async function drift(lesson, a, b) {
  const [first, second] = await Promise.all([a, b].map((text) => lesson.tokensOf(text)));
  const n = sharedEnd(first.tokens, second.tokens);
  if (!n) throw new Error("The two sentences do not end with the same word. Let both end with one, without a full stop.");
  const of = ({ ids }) => ({ ids, word: [ids.length - n, ids.length] });
  const found = await lesson.ask({ ask: "drift", a: of(first), b: of(second) });
  return { ...found, word: first.tokens.slice(-n).map(({ text }) => text).join("").trim(), samePlace: first.ids.length === second.ids.length };
}

function pair(lesson) {
  const texts = ["a", "b"].map((name, at) => lesson.field(name, PAIR[at]));
  const asked = drift(lesson, ...texts);
  asked.catch(() => {});
  const known = texts.every((text, at) => text === PAIR[at]);
  return guess(lesson, {
    name: "cosine",
    ask: "Both sentences end with the same word, and it is looked up in the same row of the embedding. How alike are its two vectors after the last block? (Cosine: 1 is the same direction, 0 a right angle.)",
    range: { from: -0.2, to: 1, step: 0.01, value: 0.9, write: (x) => fixed(x) },
    near: 0.08,
    truth: async () => {
      const { cosine, word, samePlace } = await asked;
      const start = samePlace || lesson.model.choices.positions !== "learned" ? "" : " (It does not begin at exactly 1, because the word has another position in the two texts.)";
      return { value: cosine.at(-1), say: `The two vectors of “${word}” end at ${fixed(cosine.at(-1))}.${start}` };
    },
    shown: () => [
      figure("The cosine of the word’s two vectors, block by block.", () => curves(lesson, asked, texts, known), { name: "drift", tall: 14 }),
      say("The word does not change. Its ", strong("vector"), " does: block by block, the words before it are taken in."),
      figure("The parts of the model that add most to the distance between the two.", async () => parts(await asked), { name: "drift-parts", tall: 10 }),
      aside("Words after it play no part: chapter 5 says why. And these numbers say what adds to the distance, not what causes it: a late part works on what earlier ones made. To know a cause, change it, and see what happens."),
    ],
  });
}

async function curves(lesson, asked, texts, known) {
  const found = await asked;
  const series = [{ name: "this pair", values: found.cosine, kind: "data" }];
  let third = null;
  if (known) third = await drift(lesson, texts[0], THIRD).catch(() => null);
  if (third) series.push({ name: "same sense", values: third.cosine, kind: "weight", dashed: true });
  const names = found.cosine.map((_, at) => (at ? String(at - 1) : "start"));
  const drawn = curve({ series, label: `The cosine falls from ${fixed(found.cosine[0])} to ${fixed(found.cosine.at(-1))}`, width: room(), low: Math.min(0, ...found.cosine), high: 1, names, x: "after block", write: (x) => fixed(x, 1) });
  return [drawn, third && make("p", { class: "note" }, `Dashed: “${texts[0]}” beside “${THIRD}”, where the word has the same sense. They stay together: ${fixed(third.cosine.at(-1))}.`)];
}

const nameOf = (part) => part.replace(/^block\.(\d+)\./, "block $1, ").replace("attention.head.", "head ").replace("mlp", "MLP");

function parts({ parts, distance }) {
  const rows = parts.slice(0, 6).map(({ name, a, b }) => ({ label: nameOf(name), value: a - b, text: fixed(a - b) }));
  return [bars(rows, { label: "Parts that move the two vectors apart", as: "signed" }), make("p", { class: "note" }, `All parts together: ${fixed(distance)}.`)];
}

/** A word of the reader's text that has two words before it; “dog” in the first text. */
export function nounOf(lesson) {
  const fits = (at) => at - 2 >= lesson.first && [at, at - 1, at - 2].every((p) => isWord(lesson.tokens[p]));
  const all = lesson.tokens.map((_, at) => at).filter(fits);
  const told = Number(lesson.field("noun", NaN));
  if (all.includes(told)) return told;
  return all.find((at) => /^ ?(dog|cat|bird|bear|ball|box|house)$/i.test(lesson.tokens[at].text)) ?? all.at(-1) ?? null;
}

function noun(lesson, again) {
  const at = nounOf(lesson);
  if (at === null) return say("Write a noun with two words before it, such as “a big brown dog”.");
  const from = [at - 2, at - 1];
  const asked = lesson.ask({ ask: "carried", ids: lesson.ids, from, to: [at, at + 1] }).then(({ carried }) => carried);
  const sum = (list, position) => list.filter((one) => one.from === position).reduce((sum, { length }) => sum + length, 0);
  const pick = (position) => {
    lesson.setField("noun", String(position));
    again();
  };
  const name = lesson.named(at);
  const truth = async () => {
    const [x, y] = from.map((position) => sum(list, position));
    return { value: x > y ? from[0] : from[1], say: `Over all heads, what comes from ${lesson.named(from[0])} has lengths that sum to ${fixed(x)}, from ${lesson.named(from[1])} to ${fixed(y)}.` };
  };
  let list = [];
  return [
    aside("A head is one of several attentions that work side by side in a block. Choose a noun of your text:"),
    tokenStrip({ tokens: lesson.tokens, chosen: at, label: "Choose the noun", pick }),
    guess(lesson, {
      name: "noun",
      ask: `${name} has ${lesson.named(at - 2)} and ${lesson.named(at - 1)} before it. From which do the heads carry more into its vector?`,
      choices: from.map((position) => [position, lesson.named(position)]),
      truth: async () => {
        list = await asked;
        return truth();
      },
      shown: () => [
        figure(`What single heads carry into ${name} from the two words: the length of what they add, and how much of the head’s attention goes there.`, async () => strongestCarriers(lesson, await asked), { name: "carried", tall: 12 }),
        say(`After these heads, the vector at ${name} is no longer that of any ${name}: it holds something of the words before it. Later words that look at ${name} find that in it.`),
        aside("A length says that something was added, not what it is used for. Vectors can also cancel each other."),
      ],
    }),
  ];
}

function strongestCarriers(lesson, list) {
  const rows = [...list].sort((a, b) => b.length - a.length).slice(0, 8);
  return bars(rows.map(({ block, head, from, share, length }) => ({ label: `block ${block}, head ${head}, from ${quoted(lesson.tokens[from])}`, value: length, text: fixed(length), note: `${percent(share)} of its attention` })), { label: "Heads by what they carry", as: "size" });
}
