// The view "Attention": where a head looks, as arcs over the words and as a grid with its steps: Q·K, scaled, masked,
// softmax.

import { make } from "../dom.js";
import { arcs } from "../draw/arcs.js";
import { grid } from "../draw/grid.js";
import { number } from "../draw/number.js";
import { format, matrix, most, percent, values } from "../draw/numbers.js";
import { chip, quoted, shownText } from "../draw/token_strip.js";
import { vector } from "../draw/vector.js";
import { ask } from "../engine.js";
import { changing, choice, columns, note, part, table, toggle, window } from "./parts.js";
import { defineView } from "./view.js";

/** The grid is drawn whole up to this many tokens; the arcs have room for fewer. */
const WHOLE = 128;
const WORDS = 40;
const ROWS = 12;

const STEPS = [
  ["product", "Q·K"],
  ["scaled", "scaled"],
  ["masked", "masked"],
  ["pattern", "softmax"],
];
const ABOUT = {
  product: "Query of the row times key of the column: how well they fit.",
  scaled: "The same, times a constant, so that the numbers stay small.",
  masked: "Nobody looks ahead: later words are hidden.",
  pattern: "Softmax turns every row into shares that sum to 1.",
};

/** What a step does, in this model and block. */
function about(step, { choices }, { cap, window }) {
  if (step === "scaled" && choices.score_by_size) return "The same, divided by the square root of the head's size, so that the numbers stay small.";
  if (step === "masked") {
    const far = window ? ` This block sees the last ${window} words only: those before them are hidden too.` : "";
    return `${ABOUT.masked}${far}${cap ? ` A cap holds every number between −${cap} and ${cap}.` : ""}`;
  }
  if (step === "pattern" && choices.sinks) return "Softmax turns every row into shares that sum to less than 1: the head's sink takes the rest.";
  return ABOUT[step];
}

export const view = defineView({
  id: "attention",
  title: "Attention",
  about: "Each word asks (query), each earlier word offers (key); where they fit, the head looks.",
  uses: ["position", "block", "head"],
  keys: ["sink", "step", "key"],
  draw,
});

async function draw({ state, store, open }) {
  const { block, head, ids, position, sink, step } = state;
  const whole = ids.length <= WHOLE;
  const more = { block, head, ...(!whole && { position }) };
  const found = await ask(store.question("attention", more, ids.length - 1));
  const steps = stepsOf(found, whole ? null : position);
  const key = Math.min(state.key ?? strongest(steps.row("pattern", position), sink), position);
  const pair = await ask(store.question("query_key", { block, head, query: position, key }, ids.length - 1));
  return [
    arcsPart({ state, store, steps }),
    make(
      "div",
      { class: "row between" },
      toggle({ label: "Show the attention to the first token", on: sink, pick: (on) => store.set({ sink: on }), name: "sink" }),
      note("Many heads look at the first token where nothing else fits: an attention sink. Grey arcs: the other words."),
    ),
    columns(whole && gridPart({ state, store, steps, step, key }), rowPart({ state, store, steps, key })),
    !whole && note(`The text has ${ids.length} tokens; the grid of all rows is drawn up to ${WHOLE}. The arcs and the list show the chosen row.`),
    pairPart({ state, pair, key }),
    make(
      "div",
      { class: "warning" },
      make(
        "p",
        {},
        "A head that looks somewhere need not change anything by it: attention alone is no cause. Whether it matters shows when it cannot look.",
      ),
      make(
        "div",
        { class: "row" },
        key < position &&
          changing(`Hide ${quoted(state.tokens[key])} from ${quoted(state.tokens[position])} in this block`, store, open, {
            cut: [key, position],
            block,
          }),
        changing("Silence this head", store, open, { silence: `block.${block}.attention.head.${head}` }),
      ),
    ),
  ];
}

/** The four steps as functions of query and key. For a long text only the row of `only` is known. */
function stepsOf(found, only) {
  const at = (object) => {
    const m = matrix(object);
    return m.rows === 1 ? (_, k) => m.at(0, k) : (q, k) => m.at(q, k);
  };
  const pattern = matrix(found.pattern);
  const product = at(found.scores);
  const of = {
    product,
    scaled: (q, k) => product(q, k) * found.scale,
    masked: found.masked ? at(found.masked) : (q, k) => (k > q ? -Infinity : product(q, k) * found.scale),
    pattern: pattern.rows === 1 ? (_, k) => pattern.at(0, k) : (q, k) => pattern.at(q, k),
  };
  // Further back than the window.
  const isFar = (q, k) => Boolean(found.window) && q - k >= found.window;
  return { of, isFar, found, scale: found.scale, only, row: (step, q) => Array.from({ length: q + 1 }, (_, k) => of[step](q, k)) };
}

function strongest(row, sink) {
  let found = sink || row.length === 1 ? 0 : 1;
  row.forEach((share, k) => (k > 0 || sink) && share > row[found] && (found = k));
  return found;
}

function arcsPart({ state, store, steps }) {
  const { position, tokens, sink, block, head } = state;
  const { positions, left } = window(position + 1, position, WORDS);
  const row = steps.row("pattern", position);
  const shares = positions.map((k) => row[k]);
  const faint =
    steps.only === null && positions.length <= 24 ? positions.map((q) => positions.map((k) => (k <= q ? steps.of.pattern(q, k) : 0))) : null;
  const leftOut = new Set(sink ? [] : [0]);
  const label = `Block ${block}, head ${head}: ${quoted(tokens[position])} looks at ${byShare(row, tokens)}`;
  return [
    arcs({
      words: positions.map((k) => shownText(tokens[k])),
      query: positions.indexOf(position),
      shares,
      faint,
      leftOut,
      label,
      pick: (k) => store.set({ position: positions[k], key: null }),
    }),
    left && note(`${left} ${percent(Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0)))} of its attention lies outside.`),
  ];
}

function byShare(row, tokens) {
  const order = row.map((_, k) => k).sort((a, b) => row[b] - row[a]);
  return order
    .slice(0, 4)
    .map((k) => `${quoted(tokens[k])} ${percent(row[k])}`)
    .join(", ");
}

function gridPart({ state, store, steps, step, key }) {
  const { tokens, position, sink, block, head, ids } = state;
  const texts = tokens.map(shownText);
  const hidden = (q, k) => (step === "masked" || step === "pattern" ? k > q : false) || steps.isFar(q, k) || (!sink && k === 0);
  const value = (q, k) => (hidden(q, k) ? null : steps.of[step](q, k));
  const full = most(ids.flatMap((_, q) => ids.map((_, k) => value(q, k) ?? 0)));
  const say = (q, k) => `${texts[q]} → ${texts[k]}: ${hidden(q, k) ? "hidden" : format(steps.of[step](q, k), 3)}`;
  const drawn = grid({
    rows: ids.length,
    cols: ids.length,
    value,
    full,
    numbers: true,
    cell: Math.max(4, Math.min(52, Math.floor(430 / ids.length))),
    rowLabels: texts,
    colLabels: texts,
    chosen: [position, key],
    label: `Block ${block}, head ${head}, ${step}: a row for each word that looks, a column for each word that is looked at`,
    pick: (q, k) => store.set({ position: q, key: Math.min(k, q) }),
    say,
  });
  drawn.setAttribute("data-focus", "grid");
  return part(
    "Every word that looks (rows), every word looked at (columns)",
    choice({ label: "Step", options: STEPS, chosen: step, pick: (to) => store.set({ step: to }), name: "step" }),
    note(about(step, state.model, steps.found)),
    drawn,
  );
}

function rowPart({ state, store, steps, key }) {
  const { tokens, position, block, head } = state;
  const row = steps.row("pattern", position);
  const seen = row.map((_, k) => k).filter((k) => !steps.isFar(position, k));
  const order = seen.sort((a, b) => row[b] - row[a]);
  const shown = order.slice(0, ROWS).sort((a, b) => a - b);
  const site = (name, k) => ({ site: `block.${block}.attention.${name}`, position, head, key: k });
  const cell = (name, step, k, options) => number(steps.of[step](position, k), site(name, k), options);
  const rows = shown.map((k) => [
    make(
      "button",
      { type: "button", class: "bar-name", "data-focus": `key-${k}`, "aria-pressed": String(k === key), onclick: () => store.set({ key: k }) },
      chip(tokens[k]),
    ),
    cell("scores", "product", k),
    cell("masked", "masked", k),
    cell("pattern", "pattern", k, { as: "percent" }),
  ]);
  return part(
    `Where ${quoted(tokens[position])} looks`,
    table({ caption: "The row of the chosen word", head: ["Word", "Q·K", `× ${format(steps.scale, 3)}${steps.found.cap ? ", capped" : ""}`, "Share"], rows }),
    seen.length > ROWS && note(`The ${ROWS} largest shares of ${seen.length}.`),
    seen.length < row.length && note(`This block sees the last ${seen.length} words only.`),
  );
}

function pairPart({ state, pair, key }) {
  const { tokens, position, block, head, model } = state;
  const [query, offered] = [values(pair.query), values(pair.key)];
  const full = most([...query, ...offered]);
  // Several query heads may share a key head. Both are shown as they are multiplied: after their norm and rotation.
  const columnOf = { query: head, key: Math.floor((head * model.choices.key_heads) / model.heads) };
  const site = (name, at) => (column) => ({
    site: name === "query" ? pair.query_site : pair.key_site,
    position: at,
    column: columnOf[name] * model.head_size + column,
  });
  const { query_key_norm: normed } = model.choices;
  const rotated = model.choices.rotated[block];
  const how = [normed && "brought to one scale (norm)", rotated && "rotated by the position"].filter(Boolean).join(" and ");
  const score = (name) => ({ site: `block.${block}.attention.${name}`, position, head, key });
  return part(
    `${quoted(tokens[position])} looks at ${quoted(tokens[key])}`,
    make(
      "div",
      { class: "sum" },
      ...[
        ["query of", tokens[position], query, site("query", position)],
        ["key of", tokens[key], offered, site("key", key)],
      ].map(([name, token, numbers, atOf], at) =>
        make(
          "div",
          { class: "sum-row" },
          make("span", { class: "sum-sign", "aria-hidden": "true" }, at ? "·" : ""),
          make("div", { class: "sum-name" }, `${name} `, chip(token)),
          vector(numbers, { name: `${name} ${shownText(token)}`, full, atOf }),
        ),
      ),
    ),
    how && note(`Query and key are ${how} before they are multiplied, and are shown so.`),
    pair.product === null
      ? note("This block does not look so far back.")
      : make(
          "p",
          { class: "equation" },
          "product ",
          number(pair.product, score("scores")),
          model.choices.score_cap ? " → scaled and capped " : " → scaled ",
          number(pair.scaled, score("masked")),
          " → share ",
          number(pair.share, score("pattern"), { as: "percent" }),
        ),
  );
}
