// Chapter 10: block by block, through the lens.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { chip } from "../draw/token_strip.js";
import { closer } from "./closer.js";
import { guess } from "./guess.js";
import { aside, figure, say, screen, strong, table } from "./parts.js";
import { fixed, percent, quoted } from "./words.js";

export const chapter = {
  id: "again",
  short: "Again and again",
  title: "Again and again: block by block",
  sources: ["nostalgebraist", "he", "ba", "elhage"],
  make(lesson) {
    const { layers, choices } = lesson.model;
    const asked = lesson.ask({ ask: "lens", ids: lesson.ids, top: 3 }).then(({ layers }) => layers.map((positions) => positions[0]));
    asked.catch(() => {});
    const truth = async () => {
      const found = await asked;
      const answer = found.at(-1)[0];
      // From which block on it stays first.
      let at = found.length - 1;
      while (at > 0 && found[at - 1][0].id === answer.id) at -= 1;
      const before = at > 0 ? ` Before that, ${quoted(found[at - 1][0])} was first.` : "";
      return { value: at, say: `${quoted(answer)} is first from ${at ? `block ${at - 1}` : "the embedding"} on.${before}` };
    };
    const options = ["the embedding itself", ...Array.from({ length: layers }, (_, at) => `block ${at}`)];
    const few = options.length > 14 ? options.map((text, at) => [at, text]).filter(([at]) => at % Math.ceil(options.length / 12) === 0 || at === options.length - 1) : options.map((text, at) => [at, text]);
    return [
      screen(
        "When does it know?",
        guess(lesson, {
          name: "when",
          ask: `${layers} blocks, one after the other. If the model had to speak earlier: from which block on would its final answer come first, and stay so?`,
          choices: few,
          truth,
          shown: () => [
            figure(`What would be said after ${lesson.named(lesson.last)} if the model ended there.`, async () => ladder(await asked), { name: "lens", tall: 20 }),
            say("At first, the vector is that of the last word alone. Each block then does the same two things: attention brings in something of the other words, the MLP works on it. Over the blocks the vector turns from ", strong("this word"), " towards ", strong("the next word"), "."),
            closer(lesson, "lens", { position: lesson.last }, "The lens at every position"),
          ],
        }),
      ),
      screen(
        "One stream, many additions",
        figure("The length of the vector, and of what attention and the MLP add to it, block by block.", () => stream(lesson), { name: "stream", tall: 14 }),
        say("No block replaces the vector: each one reads the vector, ", strong("adds"), " to it and passes it on. What an early block wrote can be read by every later one."),
        aside(`${choices.norm_before ? "Each part reads a copy that was brought to a common size first (pre-norm). " : ""}${choices.norm_after ? "What each part gives is brought to a common size before it is added (post-norm). " : ""}The lens does with every vector what is otherwise done with the last one only: the final norm and the unembedding. That is a way of looking. The model itself never does it midway, and nothing trained its early vectors to be read like that.`),
      ),
    ];
  },
};

function ladder(found) {
  return make(
    "ol",
    { class: "lens-ladder", "aria-label": "Block by block" },
    ...found.map((top, at) =>
      make("li", {}, make("span", { class: "note step" }, at ? `block ${at - 1}` : "start"), make("span", { class: "token-row" }, ...top.map((one, rank) => make("span", { class: rank ? "less" : "most" }, chip(one), ` ${percent(Math.exp(one.logprob))}`)))),
    ),
  );
}

async function stream(lesson) {
  const { norms, attention, mlp } = await lesson.ask({ ask: "stream", ids: lesson.ids });
  const most = Math.max(...norms);
  const rows = attention.map((length, at) => [String(at), fixed(length), fixed(mlp[at]), fixed(norms[at + 1])]);
  return [
    bars(norms.map((length, at) => ({ label: at ? `after block ${at - 1}` : "start", value: length, text: fixed(length), note: at ? `attention + ${fixed(attention[at - 1])}, MLP + ${fixed(mlp[at - 1])}` : null })), { label: "The length of the vector", as: "size", full: most }),
    make("details", {}, make("summary", {}, "As a table"), table("Lengths, block by block", ["block", "attention adds", "MLP adds", "the vector after it"], rows, { numeric: [1, 2, 3] })),
  ];
}
