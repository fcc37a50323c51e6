// Where a number came from: the equation and its operands, one step back, again and again, down to a weight in the file.

import { find, make } from "../dom.js";
import { number } from "../draw/number.js";
import { format, percent } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { storeOf } from "./store.js";

const panel = find("trace");
/** The steps back so far: `{ at, value, name }`; the last one is shown. */
let trail = [];
let store = null;
let opener = null;
let turn = 0;

/** Listens for numbers that are clicked, anywhere on the page. */
export function startTrace() {
  document.addEventListener("glass-trace", ({ target, detail }) => {
    if (panel.contains(target)) return step(detail.at);
    store = storeOf(target);
    opener = target;
    trail = [];
    step(detail.at);
  });
  panel.addEventListener("keydown", (event) => event.key === "Escape" && close());
}

/** Opens the panel for a number of a link. */
export function openTrace(of, at) {
  if (!panel.hidden && store === of && same(trail.at(-1)?.at, at)) return;
  store = of;
  opener = null;
  trail = [];
  step(at);
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function step(at) {
  trail.push({ at });
  show();
}

export function closeTrace() {
  if (!panel.hidden) close();
}

function close() {
  panel.hidden = true;
  store.set({ trace: null });
  document.body.classList.remove("with-trace");
  if (opener?.isConnected) opener.focus();
  else document.querySelector("main:not([hidden])")?.focus();
}

async function show() {
  const mine = ++turn;
  const first = panel.hidden;
  panel.hidden = false;
  document.body.classList.add("with-trace");
  const { at } = trail.at(-1);
  store.set({ trace: at });
  const head = heading();
  if (first) panel.replaceChildren(head, make("p", { class: "note" }, "…"));
  panel.focus({ preventScroll: true });
  try {
    const found = await ask(questionFor(trail.at(-1)));
    if (mine !== turn) return;
    trail.at(-1).name = found.name ?? found.tensor;
    panel.replaceChildren(heading(), crumbs(), body(found));
  } catch (error) {
    if (mine === turn) panel.replaceChildren(heading(), crumbs(), make("p", { class: "note trouble" }, error.message));
  }
  panel.scrollTop = 0;
}

/** A number may lie beyond the chosen position (a grid), so the whole text is given. */
function questionFor({ at, list }) {
  const { ids } = store.state;
  return { ask: "trace", ids, edits: store.editsFor(ids.length), at, ...(list && { list }) };
}

const heading = () =>
  make(
    "div",
    { class: "trace-head" },
    make("h2", { id: "trace-title" }, "Where this number came from"),
    make("button", { type: "button", class: "quiet", onclick: close }, "Close"),
  );

/** The way back to the numbers before. */
function crumbs() {
  if (trail.length < 2) return make("p", { class: "hidden" });
  const before = trail.slice(-4, -1);
  const skipped = trail.length - 1 - before.length;
  const items = before.map((one) =>
    make("li", {}, make("button", { type: "button", class: "link", onclick: () => backTo(one) }, one.name ?? "a number")),
  );
  return make("nav", { "aria-label": "Steps back" }, make("ol", { class: "crumbs" }, skipped > 0 && make("li", {}, `${skipped} more`), ...items));
}

function backTo(one) {
  trail = trail.slice(0, trail.indexOf(one) + 1);
  show();
}

function body(found) {
  const kind = found.kind === "weight" ? "weight" : "data";
  const { at } = trail.at(-1);
  const value = at.probability === undefined ? format(Number(found.value), 6) : percent(found.value);
  const word = at.position !== undefined && store.state.tokens[at.position];
  return make(
    "div",
    { class: "trace-body" },
    make("p", { class: "trace-name" }, found.name ?? found.tensor),
    word && make("p", { class: "note" }, `position ${at.position} is `, chip(word)),
    make(
      "p",
      { class: `trace-value ${kind}` },
      value,
      make("span", { class: "note" }, kind === "weight" ? " learned: it stands in the file" : " computed for this text"),
    ),
    found.edited && make("p", { class: "note" }, found.edited),
    found.equation && make("p", { class: "equation" }, found.equation),
    found.tensor ? inFile(found) : operands(found),
  );
}

/** The operands; of a long sum those that add the most. */
function operands(found) {
  const { inputs = [], more = 0, sum, rounding } = found;
  if (!inputs.length) return make("p", { class: "note" }, "Nothing comes before it.");
  const products = inputs.some(({ times, product }) => times || product !== undefined);
  const rows = inputs.map((one) => {
    const cells = [make("th", { scope: "row" }, one.label ?? "", elsewhere(one)), make("td", {}, operand(one))];
    if (products)
      cells.push(
        make("td", {}, one.times ? "× " : "", one.times && operand(one.times)),
        make("td", {}, one.product === undefined ? "" : `= ${format(Number(one.product), 3)}`),
      );
    return make("tr", {}, ...cells);
  });
  const last = [];
  if (more)
    last.push(
      make(
        "li",
        {},
        `${more.toLocaleString("en")} more`,
        found.more_sum === undefined ? "" : ` sum to ${format(Number(found.more_sum), 4)} `,
        make("button", { type: "button", class: "link", onclick: () => list(inputs.length) }, "List more"),
      ),
    );
  if (sum !== undefined && sum !== null) last.push(make("li", {}, `the equation gives ${format(Number(sum), 6)}`));
  if (Number(rounding)) last.push(make("li", {}, `rounding of 32-bit numbers: ${format(Number(rounding), 2)}`));
  return make(
    "div",
    {},
    make("table", { class: "numbers operands" }, make("caption", { class: "hidden" }, "What it was computed from"), make("tbody", {}, ...rows)),
    make("ul", { class: "note" }, ...last),
  );
}

function list(shown) {
  trail.at(-1).list = 4 * shown;
  show();
}

/** The word that an operand is about, where it is another one than that of the number. */
function elsewhere({ at }) {
  const here = trail.at(-1).at.position;
  const place = at?.key ?? (at?.position === here ? undefined : at?.position);
  const word = store.state.tokens[place];
  return word ? make("span", { class: "at-word" }, " ", chip(word)) : "";
}

const SORTS = ["data", "weight"];

/** An operand as a number; `rounded` is what the product multiplies, where it rounds. */
function operand({ value, at, kind, rounded }) {
  const sort = SORTS.includes(kind) ? kind : "constant";
  const made = number(Number(value), sort === "constant" ? null : (at ?? null), { kind: sort, digits: 4 });
  if (rounded !== undefined) made.title = `Multiplied as ${format(Number(rounded), 6)}: this product rounds what goes in.`;
  return made;
}

function inFile({ tensor, file, dtype, places = [], row, column }) {
  const rows = places.map(({ offset, bytes, means }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, means),
      make("td", {}, `byte ${offset.toLocaleString("en")}`),
      make("td", {}, make("code", {}, bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" "))),
    ),
  );
  const fact = (name, value) =>
    value !== undefined && value !== null && make("div", { class: "fact" }, make("dt", {}, name), make("dd", {}, make("code", {}, String(value))));
  return make(
    "div",
    { class: "in-file" },
    make(
      "dl",
      { class: "fact-row" },
      ...[fact("File", file), fact("Tensor", tensor), fact("Kind of numbers", dtype), fact("Row", row), fact("Column", column)].filter(Boolean),
    ),
    make("table", { class: "numbers" }, make("caption", { class: "hidden" }, "The bytes in the file"), make("tbody", {}, ...rows)),
  );
}
