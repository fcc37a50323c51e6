// Chapter 8: many heads, each a different question.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { grid } from "../draw/grid.js";
import { matrix } from "../draw/numbers.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { aside, choose, figure, say, screen, strong } from "./parts.js";
import { percent, quoted, shownText, strongest, whole } from "./words.js";

export const chapter = {
  id: "heads",
  short: "Many heads",
  title: "Many heads, each with another question",
  sources: ["vaswani", "olsson", "xiao", "jain", "wiegreffe", "lecun"],
  make(lesson) {
    const { layers, heads } = lesson.model;
    const all = layers * heads;
    const row = lesson.ask({ ask: "row", ids: lesson.ids }).then(({ rows }) => matrix(rows));
    row.catch(() => {});
    const sinks = (rows) => Array.from({ length: rows.rows }, (_, at) => rows.row(at)).filter((shares) => strongest(shares) === 0).length;
    return [
      screen(
        "Where they all look",
        guess(lesson, {
          name: "sinks",
          ask: `This model has ${layers} blocks of ${heads} heads: ${all}. All of them look back from the last token, ${lesson.named(lesson.last)}. How many give most to the very first token, ${lesson.named(0)}?`,
          range: { from: 0, to: all, step: 1, value: Math.round(all / 8), write: String },
          near: Math.max(1, Math.round(all / 16)),
          truth: async () => {
            const n = sinks(await row);
            return { value: n, say: `${n} of ${all}. The shares have to sum to 1; where nothing in the text fits, they often go there.` };
          },
          shown: () => [
            figure(`Each row is a head (block.head), each column a token: where it looks from ${lesson.named(lesson.last)}.`, async () => everyHead(lesson, await row), { name: "every-head", tall: 20 }),
            say("The heads of a block work ", strong("side by side"), ", each with its own queries, keys and values, and what they add is summed. The next block’s heads see the result."),
            closer(lesson, "heads", { position: lesson.last }, "What every head of a block adds"),
          ],
        }),
      ),
      screen(
        "Like the kernels of a convolution",
        figure("How much of a head’s attention goes to one kind of place, measured on random tokens that repeat: the three best heads for each kind.", () => kinds(lesson), { name: "kinds", tall: 14 }),
        aside("A bar of a few percent is little: then no head of this model does mainly that."),
        say("In a network for pictures, many small kernels pass over the same picture. Each is learned, each looks for another thing: an edge, a corner. Heads are like that: many learned questions, ", strong("the same at every position"), ", put to the same text."),
        say("One difference matters. A kernel always looks at the same neighbours. A head chooses where to look from what stands there."),
      ),
      screen("Which of them matter here?", silence(lesson)),
    ];
  },
};

function everyHead(lesson, rows) {
  const { heads } = lesson.model;
  const most = 36;
  const from = Math.max(0, rows.cols - most);
  const columns = from ? [0, ...Array.from({ length: most - 1 }, (_, at) => from + 1 + at)] : Array.from({ length: rows.cols }, (_, at) => at);
  const name = (r) => `${Math.floor(r / heads)}.${r % heads}`;
  return [
    grid({
      rows: rows.rows, cols: columns.length, full: 1, rowLabels: Array.from({ length: rows.rows }, (_, r) => name(r)), colLabels: columns.map((at) => shownText(lesson.tokens[at])),
      label: "Where every head looks", value: (r, c) => rows.at(r, columns[c]), cell: rows.rows > 60 ? 9 : 15,
      say: (r, c) => `head ${name(r)}: ${percent(rows.at(r, columns[c]))} to ${shownText(lesson.tokens[columns[c]])}`, pick: () => {},
    }),
    from ? make("p", { class: "note" }, `The first token and the last ${columns.length - 1}.`) : null,
  ];
}

const KINDS = [
  ["previous", "the token just before"],
  ["duplicate", "the same token, earlier"],
  ["induction", "what followed the same token, earlier"],
  ["first", "the first token"],
];

async function kinds(lesson) {
  const { heads } = await lesson.ask({ ask: "kinds" });
  const all = heads.flatMap((of, block) => of.map((head, number) => ({ ...head, name: `block ${block}, head ${number}` })));
  return KINDS.flatMap(([kind, text]) => {
    const best = [...all].sort((a, b) => b[kind] - a[kind]).slice(0, 3);
    return [make("h4", {}, text), bars(best.map((head) => ({ label: head.name, value: head[kind] })), { label: text, full: 1 })];
  });
}

function silence(lesson) {
  const { layers, heads } = lesson.model;
  const asked = lesson.ask({ ask: "next", ids: lesson.ids, top: 1 }).then(({ top }) => top[0]);
  let block = layers - 1;
  const without = async (name) => {
    const token = await asked;
    const { logprobs } = await lesson.ask({ ask: "next", ids: lesson.ids, edits: [{ silence: name }], top: 1 });
    return Math.exp(matrix(logprobs).at(0, token.id));
  };
  const picture = figure(null, async () => {
    const token = await asked;
    const rows = [{ label: "all heads work", value: Math.exp(token.logprob) }];
    for (let head = 0; head < Math.min(heads, 12); head++) rows.push({ label: `without head ${block}.${head}`, value: await without(`block.${block}.attention.head.${head}`) });
    rows.push({ label: `without all of block ${block}’s heads`, value: await without(`block.${block}.attention`) });
    return [make("p", { class: "note" }, `The probability of ${quoted(token)}:`), bars(rows, { label: `The probability of ${quoted(token)} with heads silenced`, full: 1 })];
  }, { name: "silence", tall: 12 });
  const options = Array.from({ length: layers }, (_, at) => [at, String(at)]);
  return guess(lesson, {
    name: "silence",
    ask: "A head looks strongly at a word. Has that word therefore caused the prediction?",
    choices: [["yes", "Yes: attention shows the cause"], ["no", "Not by that alone"]],
    truth: () => ({ value: "no", say: "A share says where a head looks, not what it takes from there, nor whether anything later uses it. The test is to change it: switch the head off." }),
    shown: () => [
      choose("Block", options, block, (value) => {
        block = value;
        picture.again();
      }),
      picture,
      say("Here each head of one block is ", strong("silenced"), " in turn: it adds nothing, all else works on. Often little changes, because other heads do the same work, or because the prediction does not need it."),
      aside(`Even this is a statement about this text only. ${whole(layers * heads)} heads can be tested one by one; pairs and groups may matter where single ones do not.`),
    ],
  });
}
