// Chapter 16: how the weights were learned. A small GPT learns while the reader watches.

import { make } from "../dom.js";
import { grid } from "../draw/grid.js";
import { matrix } from "../draw/numbers.js";
import { guess } from "./guess.js";
import { aside, choose, figure, room, say, screen, strong } from "./parts.js";
import { plot } from "./plot.js";
import { fixed, percent, whole } from "./words.js";

const STEPS = 600;
const TASKS = [["reverse", "backwards: abcde → edcba"], ["copy", "again: abcde → abcde"], ["sort", "sorted: dbeca → abcde"]];
/** 8 letters and the sign "=". */
const TOKENS = 9;

export const chapter = {
  id: "learning",
  short: "Learning",
  title: "How the weights were learned",
  sources: ["rumelhart", "loshchilov", "kaplan", "olsson", "eldan"],
  make(lesson) {
    return [
      screen(
        "Downhill, in small steps",
        figure("The probability of the right token, and its loss, −ln(probability).", () => plot([{ points: Array.from({ length: 100 }, (_, at) => [(at + 1) / 100, -Math.log((at + 1) / 100)]), kind: "data" }], { label: "The loss is 0 where the right token has probability 1, and grows without end towards 0", x: "probability of the right token", width: room(), y: "loss", height: 200, xFrom: 0, xTo: 1 }), { name: "loss" }),
        say("Nobody writes weights. They begin as random numbers. Then, again and again: read some text, compare each prediction with the token that really follows, and compute for ", strong("every weight"), " in which direction the loss would fall. Move each a little that way. That is one step."),
        say("The directions come from the chain rule, applied from the loss backwards through all products to the embedding: backpropagation."),
      ),
      screen("Watch one learn", watch(lesson)),
      screen(
        "From letters to language",
        say(`A model such as the loaded one is made in the same way: ${whole(lesson.model.stored)} weights instead of a few thousand, text instead of letters, many more steps. GPT-3 saw 300 billion tokens.`),
        say("The task was never “understand”, only: ", strong("predict the next token"), ". Where that needs grammar, names, places or who ate the cake, weights that represent them make the loss smaller, and are found."),
        aside("Not all of it is understood. What single heads and neurons of large models have learned is still being found out, with means like those of this course."),
      ),
      screen("All of it, in short", ...inShort()),
    ];
  },
};

/** What a reader takes along: how a next word is chosen, where the weights are, what a long text costs. */
function inShort() {
  const to = (id, text) => make("a", { href: `#course/${id}` }, text);
  const step = (...text) => make("li", {}, ...text);
  return [
    make(
      "ol",
      { class: "in-short say" },
      step("The text is cut into ", to("tokens", "tokens"), ", and each one’s vector is ", to("embedding", "looked up in a table"), "."),
      step("In every block, ", to("queries", "attention"), " adds to each vector what it takes from earlier words: queries and keys say from where, ", to("values", "values"), " say what."),
      step("Then the ", to("mlp", "MLP"), " works on each vector by itself. ", to("again", "Block by block"), ", the vectors of words become vectors of what comes next."),
      step("Only the ", to("last", "last vector"), " is compared with every token of the vocabulary. The ", to("unembedding", "softmax"), " makes probabilities, one token is drawn, and all begins anew."),
      step("What was learned are the ", to("weights", "weights"), ": most stand in the MLPs, then in attention, few in the two tables. Reading and writing do not change them."),
      step("Every token looks at all before it. So a long text costs more than its length: ", to("context", "twice the text, four times the pairs"), ", and keys and values of all its tokens are kept."),
    ),
  ];
}

function watch(lesson) {
  const state = { task: "reverse", frames: [], running: false };
  const first = run(lesson, state);
  return make(
    "div",
    {},
    choose("The task: write five letters", TASKS, state.task, (task) => {
      state.task = task;
      first.reset();
    }),
    guess(lesson, {
      name: "steps",
      waiting: "It learns; see below…",
      ask: "A GPT of a few thousand random weights gets 48 new questions in each step, such as “dhgdb=”. On other questions, which it never learns from: after how many steps will it answer more than half without a mistake?",
      choices: [["20", "after 20 steps"], ["100", "after about 100"], ["300", "after about 300"], ["never", `not in ${STEPS}`]],
      truth: async () => {
        const frames = await first.start();
        const half = frames.find(({ accuracy }) => accuracy > 0.5);
        const step = half?.step ?? Infinity;
        const value = step <= 50 ? "20" : step <= 200 ? "100" : step <= STEPS ? "300" : "never";
        return { value, say: half ? `After step ${step}: ${percent(half.accuracy)} of 64 questions right. At the end ${percent(frames.at(-1).accuracy)}.` : `It does not reach half in ${STEPS} steps; at the end it has ${percent(frames.at(-1).accuracy)}.` };
      },
      shown: () => [
        say("Often the loss falls in stages. Where it falls steeply, a head has found where to look; see the patterns below. To write letters backwards, it must look one place further back at every letter: a diagonal."),
        aside("This is not a film: the training runs in the program, while you watch, on the same code that trains large models here."),
      ],
    }),
    first.element,
  );
}

/** A training: its curve, its samples by step, and where its heads look. */
function run(lesson, state) {
  const curve = make("div", { class: "shows" });
  const samples = make("ol", { class: "samples", "aria-label": "Answers by step" });
  const heads = make("div", { class: "patterns" });
  const status = make("p", { class: "note", role: "status", "data-lesson": "" });
  const button = make("button", { type: "button", class: "primary", "data-train": "", onclick: () => start() }, "Train");
  const element = make("div", { class: "watch" }, make("div", { class: "row" }, button, status), curve, make("div", { class: "side-by-side" }, samples, heads));
  let running = null;
  let turn = 0;

  function reset() {
    turn += 1;
    running = null;
    state.frames = [];
    for (const part of [curve, samples, heads]) part.replaceChildren();
    status.textContent = "";
    button.disabled = false;
  }

  function start() {
    if (running) {
      const fresh = button.textContent !== "Train" && !button.disabled;
      if (!fresh) return running;
      reset();
    }
    const mine = ++turn;
    button.disabled = true;
    running = train(mine);
    running.catch((error) => mine === turn && (status.textContent = error.message)).finally(() => {
      if (mine !== turn) return;
      button.disabled = false;
      button.textContent = "Train again";
    });
    return running;
  }

  async function train(mine) {
    const seed = 1 + (state.seeds = (state.seeds ?? 0) + 1);
    const answer = await lesson.ask({ ask: "lesson", task: state.task, steps: STEPS, every: 10, seed }, (frame) => {
      if (mine !== turn) return;
      state.frames.push(frame);
      show(frame);
    });
    if (mine === turn) finish(answer);
    return state.frames;
  }

  function show(frame) {
    const { step, loss, accuracy, sample } = frame;
    status.textContent = `Step ${step} of ${STEPS}${loss ? `, loss ${fixed(loss, 3)}` : ""}, ${percent(accuracy)} of the test questions right.`;
    curve.replaceChildren(lossCurve(state.frames));
    if (step % 60 === 0 || step === 20) samples.append(make("li", { class: sample.right ? "right" : null }, make("span", { class: "note" }, `step ${step}`), make("code", {}, `${sample.question}=${sample.answer}`), make("span", {}, sample.right ? " ✓" : " ✗", make("span", { class: "hidden" }, sample.right ? "right" : `wrong, wanted ${sample.wanted}`))));
    heads.replaceChildren(...patterns(frame));
  }

  function finish({ weights, loss, config }) {
    status.textContent = `Done: ${whole(weights)} weights, ${config.layers} blocks of ${config.heads} heads, width ${config.width}; loss ${loss < 0.001 ? "below 0.001" : fixed(loss, 3)}.`;
  }

  return { element, start, reset };
}

function lossCurve(frames) {
  const of = (pick) => frames.flatMap((frame) => (Number.isFinite(pick(frame)) && pick(frame) !== null ? [[frame.step, pick(frame)]] : []));
  const chance = Math.log(TOKENS);
  const top = chance * 1.15;
  return make(
    "div",
    {},
    plot([{ points: [[0, chance], [STEPS, chance]], kind: "faint", dash: true }, { points: of(({ loss }) => loss), kind: "data" }, { points: of(({ accuracy }) => accuracy * top * 0.99), kind: "weight", dash: true }], { label: `The loss after step ${frames.at(-1).step}: ${fixed(frames.at(-1).loss ?? chance, 3)}; right answers ${percent(frames.at(-1).accuracy)}`, x: "step", width: room(), y: "loss", from: 0, to: top, xFrom: 0, xTo: STEPS, height: 220 }),
    make("p", { class: "note" }, make("span", { class: "key data" }), "loss", make("span", { class: "key weight" }), `share of right answers (the top is 100 %)`, make("span", { class: "key faint" }), `guessing among ${TOKENS} tokens: ${fixed(chance)}`),
  );
}

/** The attention of all heads on one test question. */
function patterns({ patterns, sample }) {
  const letters = [...sample.tokens];
  return patterns.flatMap((one, block) => {
    const all = matrix(one);
    const size = all.cols;
    return Array.from({ length: all.rows / size }, (_, head) =>
      make("figure", {}, grid({ rows: size, cols: size, cell: 13, full: 1, rowLabels: letters, colLabels: letters, label: `Attention of head ${block}.${head}`, value: (r, c) => (c > r ? null : all.at(head * size + r, c)) }), make("figcaption", {}, `head ${block}.${head}`)),
    );
  });
}
