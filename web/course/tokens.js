// Chapter 1: text becomes tokens, by merges that were learned.

import { make } from "../dom.js";
import { chip } from "../draw/token_strip.js";
import { guess } from "./guess.js";
import { aside, figure, line, live, say, screen, strong, withWords } from "./parts.js";
import { quoted, whole } from "./words.js";

export const chapter = {
  id: "tokens",
  short: "Tokens",
  title: "What a token is",
  sources: ["sennrich", "radford"],
  make(lesson) {
    const { tokens, model } = lesson;
    const begins = lesson.first ? ` The first one, ${quoted(tokens[0])}, marks where one text ends and the next begins; you did not write it.` : "";
    const word = lesson.field("word", "grandmother");
    return [
      screen(
        "Your text, as the model reads it",
        figure(null, () => numbered(tokens), { name: "tokens" }),
        say("A GPT reads no letters. Your text is cut into pieces called ", strong("tokens"), `, and each piece is known by a number. This model knows ${whole(model.vocabulary)} of them, and nothing else.${begins}`),
        aside("␣ is a space: it belongs to the word after it. So a word at the beginning of a text and the same word inside it are two tokens with two numbers. Most frequent words are one token; where this course says “word”, it means a token, also one that is only a piece of a word or a full stop."),
      ),
      screen("A word is put together", ...withWords(lesson, () => {
        const merging = live(() => tryWord(lesson, lesson.field("word", word)));
        return [line(lesson, { name: "word", label: "Try a word of yours", value: word, change: merging.again }), merging];
      })),
    ];
  },
};

const numbered = (tokens) => make("ul", { class: "numbered", "aria-label": "Tokens with their numbers" }, ...tokens.map((token) => make("li", {}, chip(token), make("span", { class: "note" }, String(token.id)))));

function tryWord(lesson, typed) {
  const word = typed.trim().slice(0, 60);
  if (!word) return say("Write a word.");
  const asked = lesson.ask({ ask: "merges", text: ` ${word}` }).then(({ words }) => words);
  asked.catch(() => {});
  const most = Math.min(7, Math.max(4, [...word].length));
  return guess(lesson, {
    name: "count",
    ask: `How many tokens will “${word}” become, with the space before it?`,
    choices: Array.from({ length: most }, (_, at) => [at + 1, String(at + 1)]).concat([[most + 1, `more than ${most}`]]),
    truth: async () => {
      const n = ends(await asked).length;
      return { value: Math.min(n, most + 1), say: `“${word}” is ${n === 1 ? "one token" : `${n} tokens`}: ${ends(await asked).map(quoted).join(" + ")}.` };
    },
    shown: () => [
      figure("Each line joins one pair of neighbours (shaded); the smaller its number, the earlier the pair was learned. A word of one token needs all its lines too.", async () => staircase(await asked), { name: "merges", tall: 10 }),
      say("At first there are bytes. Then the pair of neighbours that was ", strong("learned first"), " is joined, then the next, until no pair is left that was learned."),
      say("The list of pairs was learned by counting. In a large text, the most frequent pair became a token; then the most frequent pair of what there was then, and so on. Frequent words end as one token, rare ones as several. Nothing is unreadable: what was never seen remains bytes. Try a name, or 🙂."),
    ],
  });
}

const ends = (words) => words.flatMap(({ steps }) => steps.at(-1).tokens);

/** The steps of every piece, one below the other. */
function staircase(words) {
  return words.map(({ steps }) =>
    make(
      "ol",
      { class: "staircase", "aria-label": "Merges, from bytes to tokens" },
      ...steps.map(({ tokens, joined, rank }) => make("li", {}, make("span", { class: "note rank" }, rank === null || rank === undefined ? "bytes" : `no. ${whole(rank + 1)}`), ...tokens.map((token, at) => chip(token, at === joined ? "joined" : "")))),
    ),
  );
}
