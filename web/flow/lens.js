// The view "Lens": what the model would say next if it stopped after each block.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { curve } from "../draw/curve.js";
import { format, percent } from "../draw/numbers.js";
import { number } from "../draw/number.js";
import { chip, quoted, shownText } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { beside, choice, columns, note, part, window } from "./parts.js";
import { defineView } from "./view.js";

const WORDS = 12;
const KINDS = [
  ["logit", "Logit lens"],
  ["jacobian", "Jacobian lens"],
];
const ABOUT = {
  logit: "The vector after each block is read as if it were the last one.",
  jacobian: "The vector after each block is first carried to the last block by the average effect that was measured on other texts, then read.",
};

export const view = defineView({
  id: "lens",
  title: "Residual stream",
  station: "Lens",
  about: "What would come next if the model stopped after each block.",
  uses: ["position", "block"],
  keys: ["lens"],
  draw,
});

async function draw({ state, store }) {
  const { model, ids, position } = state;
  const { positions, left } = window(ids.length, position, WORDS);
  const kind = model.jacobian ? state.lens : "logit";
  const range = positions.length === ids.length ? "all" : [positions[1], positions.at(-1) + 1];
  const more = { positions: range, top: 5, ...(model.jacobian && { kind }) };
  const [found, stream] = await Promise.all([ask(store.question("lens", more, ids.length - 1)), ask(store.question("stream", { position }))]);
  const shown = positions.filter((at) => at >= found.from && at < found.from + found.layers[0].length);
  return [
    model.jacobian ? choice({ label: "Lens", options: KINDS, chosen: kind, pick: (lens) => store.set({ lens }), name: "lens" }) : null,
    beside(
      lensTable({ state, store, found, shown }),
      part(
        `After ${nameOf(state.block)}`,
        atBlock({ state, found }),
        note(ABOUT[kind], model.jacobian ? "" : " A Jacobian lens is not fitted for this model."),
      ),
    ),
    left && note(left.replace("position 0 and ", "")),
    columns(part("How sure it is", certainty({ state, store, found })), part("How the vector grows", growth({ state, store, stream }))),
  ];
}

/** Layer 0 is the embedding; layer n the stream after block n − 1. */
const nameOf = (block) => `block ${block}`;

function lensTable({ state, store, found, shown }) {
  const { tokens, position, block } = state;
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "after"),
    ...shown.map((at) => make("th", { scope: "col", class: at === position ? "chosen" : "" }, chip(tokens[at]))),
  );
  const rows = found.layers
    .map((layer, at) => ({ layer, at }))
    .reverse()
    .map(({ layer, at }) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", class: at - 1 === block ? "chosen" : "" }, at === 0 ? "embedding" : `block ${at - 1}`),
        ...shown.map((column) => cell({ layer, at, column, found, position, block, store })),
      ),
    );
  return make(
    "div",
    { class: "scroll-x", tabindex: "0", role: "group", "aria-label": "The lens as a table" },
    make(
      "table",
      { class: "lens" },
      make("caption", { class: "hidden" }, "The most probable next token after each block, for each word"),
      make("thead", {}, head),
      make("tbody", {}, ...rows),
    ),
  );
}

function cell({ layer, at, column, found, position, block, store }) {
  const [first] = layer[column - found.from];
  const p = Math.exp(first.logprob);
  const chosen = column === position && at - 1 === block;
  const made = make(
    "button",
    {
      type: "button",
      class: "lens-cell",
      "aria-pressed": String(chosen),
      "data-focus": `lens-${at}-${column}`,
      title: percent(p),
      onclick: () => store.set({ position: column, block: Math.max(0, at - 1) }),
    },
    shownText(first),
    make("span", { class: "note" }, `${Math.round(100 * p)}%`),
  );
  made.style.setProperty("--share", p.toFixed(3));
  return make("td", {}, made);
}

/** The probability of what is said in the end, block by block. */
function certainty({ state, store, found }) {
  const { position, tokens, model } = state;
  const lists = found.layers.map((layer) => layer[position - found.from]);
  const last = lists.at(-1)[0];
  const of = (list) => {
    const one = list.find(({ id }) => id === last.id);
    return one ? Math.exp(one.logprob) : null;
  };
  const first = lists.map(([one]) => Math.exp(one.logprob));
  const final = lists.map(of);
  const drawn = curve({
    series: [
      { name: shownText(last), values: final, kind: "data" },
      { name: "first", values: first, kind: "soft", dashed: true },
    ],
    low: 0,
    high: Math.max(...first, 1e-6),
    names: ["emb", ...Array.from({ length: model.layers }, (_, at) => String(at))],
    chosen: state.block + 1,
    pick: (at) => store.set({ block: Math.max(0, at - 1) }),
    label: `Probability of ${shownText(last)} after each block at ${shownText(tokens[position])}: ${final.map((p) => (p === null ? "not among the first five" : percent(p))).join(", ")}`,
    write: (p) => `${Math.round(100 * p)} %`,
    width: 520,
  });
  return [drawn, note("Orange: what is said in the end (a gap where it is not among the first five). Grey: whatever is first.")];
}

function atBlock({ state, found }) {
  const { position, block, model } = state;
  const list = found.layers[block + 1][position - found.from];
  const atOf = (id) => (block === model.layers - 1 ? { probability: id, position } : null);
  return bars(
    list.map((one) => ({ label: chip(one), value: Math.exp(one.logprob), at: atOf(one.id) })),
    { label: `The first five after block ${block}`, full: 1 },
  );
}

function growth({ state, store, stream }) {
  const { model, position, tokens, block } = state;
  const names = ["emb", ...Array.from({ length: model.layers }, (_, at) => String(at))];
  const pad = (list) => [null, ...list];
  const drawn = curve({
    series: [
      { name: "length", values: stream.norms },
      { name: "by attention", values: pad(stream.attention), kind: "soft", dashed: true },
      { name: "by MLP", values: pad(stream.mlp), kind: "soft" },
    ],
    names,
    chosen: block + 1,
    pick: (at) => store.set({ block: Math.max(0, at - 1) }),
    width: 520,
    label: `Length of the residual stream at ${shownText(tokens[position])} after each block: ${stream.norms.map((n) => format(n, 2)).join(", ")}`,
    x: "after block",
  });
  return [
    drawn,
    make(
      "p",
      { class: "note" },
      `After block ${block} the vector at ${quoted(tokens[position])} is `,
      number(stream.norms[block + 1], null),
      ` long, and its cosine with the last vector is ${format(stream.cosines[block + 1], 2)}.`,
    ),
  ];
}
