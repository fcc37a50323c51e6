// Chapter 4: queries and keys. One head, one word that asks, and the words that answer.

import { count, make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { matrix, values } from "../draw/numbers.js";
import { chip, tokenStrip } from "../draw/token_strip.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { clearHead } from "./heads_found.js";
import { aside, figure, live, say, screen, stripRow, strong } from "./parts.js";
import { fixed, percent, whole } from "./words.js";

export const chapter = {
  id: "queries",
  short: "Queries and keys",
  title: "Who asks, who answers",
  sources: ["vaswani", "elhage", "xiao"],
  make(lesson) {
    const { model } = lesson;
    const size = model.head_size;
    return [
      screen(
        "Each word asks, each word offers",
        figure(`One word’s vector of ${whole(model.width)} numbers is multiplied by two learned matrices; each gives ${size} numbers.`, () => asking(lesson), { name: "query-key", tall: 10 }),
        say("A ", strong("matrix"), ` is a table of numbers. To multiply a vector by it, each number of the vector is multiplied with its row of the table, and the rows are added up. So ${whole(model.width)} numbers and a table of ${whole(model.width)} rows and ${size} columns make ${size} new numbers. Here the table holds weights: it was learned.`),
        say("Attention lets a word take in other words. A head first makes two short vectors from every word’s vector: a ", strong("query"), ", what this word looks for, and a ", strong("key"), ", what it can be found by."),
        turned(model),
        say("Query and key are multiplied, number by number, and summed: a ", strong("score"), scaled(model)),
      ),
      screen("Which word answers?", live(() => answering(lesson))),
    ];
  },
};

/** What becomes of queries and keys before they are compared. */
function turned({ choices, layers }) {
  const some = choices.rotated.filter(Boolean).length;
  const steps = [choices.query_key_norm && "brought to a common size", some && "rotated by an angle that grows with the position of the word"].filter(Boolean);
  if (!steps.length) return null;
  return aside(`In this model both are ${steps.join(" and ")} before they are compared${some && some < layers ? ` (rotated in ${some} of ${layers} blocks)` : ""}. ${some ? "So their product depends on how far apart the two words are. " : ""}They are shown as they are compared.`);
}

/** What becomes of a product. */
function scaled({ head_size: size, choices }) {
  const by = choices.score_by_size ? `divided by √${size} = ${fixed(Math.sqrt(size))}` : "multiplied by a constant";
  const cap = choices.score_cap ? ` Then it is held between −${choices.score_cap} and ${choices.score_cap}.` : "";
  return `. It is ${by}, so that it stays about as large for vectors of more numbers.${cap}`;
}

/** The word with the largest share but for the first one and the start of the text. */
function secondOf(lesson, { position, to, shares }) {
  const others = shares.map((share, at) => ({ share, at })).filter(({ at }) => at !== to && at >= lesson.first && at < position);
  return others.sort((a, b) => b.share - a.share)[0]?.at ?? position;
}

async function asking(lesson) {
  const found = await clearHead(lesson);
  const { block, head, position } = found;
  // Not the word that answers: that is the reader's guess below.
  const to = secondOf(lesson, found);
  const qk = await lesson.ask({ ask: "query_key", ids: lesson.ids, block, head, query: position, key: to });
  const [query, key] = [values(qk.query), values(qk.key)];
  return [
    make("p", { class: "note" }, `Block ${block}, head ${head}, of your text.`),
    stripRow(`the query of ${lesson.named(position)}`, query),
    stripRow(`the key of ${lesson.named(to)}`, key),
    stripRow("query × key, number by number", query.map((value, at) => value * key[at])),
    make("p", { class: "course-sum" }, qk.product === null ? "This head does not look so far back." : `Their sum is ${fixed(qk.product)}; ${lesson.model.choices.score_by_size ? `divided by ${fixed(Math.sqrt(lesson.model.head_size))}` : "times a constant"} that is a score of ${fixed(qk.scaled)}. The head does this with every earlier word that it sees, and with the word itself.`),
  ];
}

function answering(lesson) {
  const asked = clearHead(lesson);
  const choices = asked.then(({ position, to, shares }) => {
    const others = shares.map((share, at) => [share, at]).filter(([, at]) => at !== to && at >= lesson.first && at < position);
    const some = [to, ...others.sort((a, b) => b[0] - a[0]).slice(0, 3).map(([, at]) => at)];
    return some.sort((a, b) => a - b).map((at) => [at, `${lesson.named(at)}, position ${at}`]);
  });
  const truth = async () => {
    const { to, shares, block, head, position } = await asked;
    return { value: to, say: `Head ${head} of block ${block} gives ${percent(shares[to])} of its attention at ${lesson.named(position)} to ${lesson.named(to)}.` };
  };
  const question = make("span", {}, "…");
  asked.then(({ block, head, position }) => question.replaceChildren(`This is head ${head} of block ${block}. When ${lesson.named(position)} asks, which of these words gets most of its attention?`), () => {});
  return guess(lesson, {
    name: "answer",
    ask: question,
    choices,
    truth,
    shown: () => [
      looking(lesson, asked),
      say("The scores of all words are turned into shares that sum to 1 (chapter 6). A share says how much this word will take from each other word, and from itself: a word may look at itself too."),
      aside("Many heads give much to the first token. It says little about the text; a head that finds nothing to take looks there. Such a token is called an attention sink."),
      aside("Nobody wrote down what a head should look for. The two matrices are weights; training found them."),
      closer(lesson, "attention", asked, "The whole head: every query with every key"),
    ],
  });
}

/** Scores and shares of one query; another word may ask. */
function looking(lesson, asked) {
  const box = make("div");
  asked.then((found) => {
    let at = found.position;
    const picture = figure("Its share of the attention, and the score that it came from.", () => table(lesson, found, at), { name: "scores", tall: 14 });
    box.append(
      make("p", { class: "note" }, "Who asks:"),
      tokenStrip({ tokens: lesson.tokens, chosen: at, label: "The word that asks", pick: (position) => {
        at = position;
        picture.again();
      } }),
      picture,
    );
  }, (error) => box.append(make("p", { class: "trouble" }, error.message)));
  return box;
}

async function table(lesson, { block, head }, position) {
  const found = await lesson.ask({ ask: "attention", ids: lesson.ids, block, head, position });
  const [masked, pattern] = [matrix(found.masked), matrix(found.pattern)];
  const row = pattern.rows === 1 ? 0 : position;
  const shares = Array.from(pattern.row(row)).slice(0, position + 1);
  const best = shares.map((share, at) => ({ share, at })).sort((a, b) => b.share - a.share).slice(0, 9).sort((a, b) => a.at - b.at);
  const rows = best.map(({ share, at }) => ({ label: chip(lesson.tokens[at]), value: share, note: `score ${fixed(masked.at(masked.rows === 1 ? 0 : position, at))}` }));
  const rest = 1 - best.reduce((sum, { share }) => sum + share, 0);
  return [bars(rows, { label: `Where head ${head} of block ${block} looks from ${lesson.named(position)}`, full: 1 }), shares.length > best.length && make("p", { class: "note" }, `${count(shares.length - best.length, "other token")}: ${percent(rest)}.`)];
}
