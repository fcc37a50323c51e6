// The view "Last vector": from the last vector to the logit of a word, and what words and parts add to it.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { grid } from "../draw/grid.js";
import { number } from "../draw/number.js";
import { format, matrix, most, percent, signed, values } from "../draw/numbers.js";
import { chip, quoted, shownText } from "../draw/token_strip.js";
import { vector } from "../draw/vector.js";
import { ask } from "../engine.js";
import { columns, note, part, strongest } from "./parts.js";
import { defineView } from "./view.js";

const PARTS = 12;
const WORDS = 24;
const HEADS = 32;

export const view = defineView({
  id: "last",
  title: "Last vector",
  about: "Only the last word's vector is read. Its product with a word's own vector is that word's logit.",
  uses: ["position"],
  keys: ["token"],
  draw,
});

async function draw({ state, store, open }) {
  const more = state.token === null ? {} : { token: state.token };
  const found = await ask(store.question("last", more));
  return [
    tokenChoice({ found, store }),
    product({ found, state }),
    columns(
      part(`What each word adds to the logit of ${quoted(found.token)}`, words({ found, state, store })),
      part("What each part adds", parts({ found, store, open })),
    ),
    sources({ found, state, store, open }),
  ];
}

/** The word that is asked about: the most probable one, or another. */
function tokenChoice({ found, store }) {
  const buttons = found.top
    .slice(0, 8)
    .map((one) =>
      make(
        "button",
        {
          type: "button",
          class: "chip",
          "data-focus": `about-${one.id}`,
          "aria-pressed": String(one.id === found.token.id),
          onclick: () => store.set({ token: one.id === found.top[0].id ? null : one.id }),
        },
        shownText(one),
        " ",
        make("span", { class: "note" }, percent(Math.exp(one.logprob))),
      ),
    );
  return make(
    "div",
    { class: "about-word row", role: "group", "aria-label": "The word that is asked about" },
    make("span", { class: "note" }, "About"),
    ...buttons,
  );
}

function product({ found, state }) {
  const { position, model } = state;
  const normed = values(found.normed);
  const unembedding = values(found.unembedding);
  const row = (sign, name, numbers, kind, atOf) =>
    make(
      "div",
      { class: "sum-row" },
      make("span", { class: "sum-sign", "aria-hidden": "true" }, sign),
      make("div", { class: "sum-name" }, name),
      vector(numbers, { kind, name: typeof name === "string" ? name : shownText(found.token), atOf }),
    );
  return make(
    "div",
    { class: "sum" },
    row("", "the last vector", values(found.vector), "data", (column) => ({ site: "residual", position, column })),
    row("→", "brought to one scale (norm)", normed, "data", (column) => ({ site: "norm", position, column })),
    row("·", make("span", {}, "the word's own vector ", chip(found.token)), unembedding, "weight", (column) => ({
      weight: model.tied ? "embedding.token.weight" : "unembedding.weight",
      row: found.token.id,
      column,
    })),
    make(
      "div",
      { class: "sum-row total" },
      make("span", { class: "sum-sign", "aria-hidden": "true" }, "="),
      make("div", { class: "sum-name" }, "logit"),
      make(
        "p",
        { class: "equation" },
        afterwards(model.choices),
        number(found.logit, { logit: found.token.id, position }),
        " → probability ",
        number(Math.exp(logprobOf(found)), { probability: found.token.id, position }, { as: "percent" }),
      ),
    ),
  );
}

/** What becomes of the product before it is the logit. */
function afterwards({ logit_factor: factor, logit_cap: cap }) {
  const steps = [factor !== 1 && `times ${format(factor, 3)}`, cap && `held between −${cap} and ${cap}`].filter(Boolean);
  return steps.length ? `${steps.join(", ")}: ` : "";
}

const logprobOf = ({ token, top }) => token.logprob ?? top.find(({ id }) => id === token.id)?.logprob ?? NaN;

function words({ found, state, store }) {
  const { tokens } = state;
  const { positions, left } = strongest(found.positions, WORDS);
  const full = most(found.positions);
  const rows = positions.map((at) => ({
    label: chip(tokens[at]),
    value: found.positions[at],
    text: signed(found.positions[at]),
    chosen: at === state.key,
    pick: () => store.set({ key: at }),
  }));
  return [
    bars(rows, { label: "What came from each word by way of the heads", as: "signed", full }),
    note("What came from each word directly, through the heads' attention. Whether the answer depends on the word shows “Why?”. ", left),
  ];
}

function parts({ found, store, open }) {
  const sorted = [...found.parts].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = sorted.slice(0, PARTS);
  const rest = sorted.slice(PARTS).reduce((sum, { value }) => sum + value, found.rest);
  const rows = shown.map(({ name, value }) => ({ label: readable(name), value, text: signed(value), pick: opens(name, store, open) }));
  return [
    bars([...rows, { label: `${sorted.length - shown.length} others`, value: rest, text: signed(rest) }], {
      label: "Parts of the logit",
      as: "signed",
    }),
    note(`All of them sum to the logit ${format(found.logit, 3)}.`),
  ];
}

/** "block.3.attention.head.2" in words. */
export function readable(name) {
  const [, block, head] = /^block\.(\d+)\.attention\.head\.(\d+)$/.exec(name) ?? [];
  if (head) return `block ${block} head ${head}`;
  return name
    .replace(/^block\.(\d+)\.mlp$/, "block $1 MLP")
    .replace(/^block\.(\d+)\.attention\.value_up\.bias$/, "block $1 bias")
    .replace("embedding.token", "the token itself")
    .replace("embedding.position", "its position")
    .replace("unembedding.bias", "bias of the logit")
    .replace("logits.cap", "the cap on logits")
    .replace(/^norm\.bias/, "bias of the norm");
}

function opens(name, store, open) {
  const [, block, what, head] = /^block\.(\d+)\.(attention|mlp)(?:\.head\.(\d+))?/.exec(name) ?? [];
  if (block === undefined) return undefined;
  return () => {
    store.set({ block: Number(block), ...(head && { head: Number(head) }) });
    open(what === "mlp" ? "mlp" : head ? "head" : "heads");
  };
}

/** Heads (rows) and words (columns): what went from the word through the head into the logit. */
function sources({ found, state, store, open }) {
  const { tokens, model, block, head } = state;
  const all = matrix(found.sources);
  const { positions, left } = strongest(found.positions, WORDS);
  const weight = Float32Array.from({ length: all.rows }, (_, r) => all.row(r).reduce((sum, value) => sum + Math.abs(value), 0));
  const heads = strongest(weight, HEADS).positions;
  const texts = positions.map((at) => shownText(tokens[at]));
  const of = (r) => ({ block: Math.floor(heads[r] / model.heads), head: heads[r] % model.heads });
  const value = (r, c) => all.at(heads[r], positions[c]);
  const chosen = heads.indexOf(block * model.heads + head);
  const drawn = grid({
    rows: heads.length,
    cols: positions.length,
    value,
    cell: Math.max(12, Math.min(22, Math.floor(620 / Math.max(positions.length, heads.length)))),
    rowLabels: heads.map((_, r) => `${of(r).block}.${of(r).head}`),
    colLabels: texts,
    chosen: chosen < 0 ? undefined : [chosen, null],
    label: `What heads brought from words into the logit of ${shownText(found.token)}`,
    say: (r, c) => `block ${of(r).block}, head ${of(r).head}, from ${texts[c]}: ${signed(value(r, c))}`,
    pick: (r, c) => {
      store.set({ ...of(r), key: positions[c] });
      open("head");
    },
  });
  const some = heads.length < all.rows ? `the ${HEADS} heads of ${all.rows} that bring most` : "every head";
  return make(
    "details",
    {},
    make("summary", {}, "Heads and words together"),
    note(`A row for ${some} (block.head), a column for each word. Hollow: it takes away. A click opens the head. `, left),
    make("div", { class: "scroll-x", tabindex: "0", role: "group", "aria-label": "Heads and words" }, drawn),
  );
}
