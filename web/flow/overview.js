// The whole model as one picture, for the chosen position: the residual stream as a line as thick as its length, above it
// what every head adds to the logit of the next token, below it what every MLP adds.

import { make } from "../dom.js";
import { most, percent, signed } from "../draw/numbers.js";
import { keepRow } from "../draw/keep.js";
import { chip, shownText } from "../draw/token_strip.js";
import { cut, picture, round, svg, textWidth } from "../draw/svg.js";
import { ask } from "../engine.js";
import { linkTo } from "../places.js";
import { toParameters } from "./store.js";

const MLP = 44;
const THICK = 15;

/** The picture; `open(id)` opens a station. It follows the store. `choose`: at first the head that adds most is chosen. */
export function overview(store, open, choose = false) {
  const holder = make("div", { class: "scroll-x", tabindex: "0", role: "group", "aria-label": "The whole model, to be scrolled sideways" });
  const caption = make("figcaption", { class: "note" });
  const row = keepRow({ element: () => holder, link: () => linkTo("flow", toParameters(store.state)), name: () => "glass-flow" });
  const figure = make("figure", { class: "overview", "data-view": "overview" }, holder, make("div", { class: "view-head" }, caption, row));
  let drawn = null;
  let turn = 0;
  const show = async () => {
    const { model, ids } = store.state;
    if (!model || !ids.length || store.trouble) return;
    const mine = ++turn;
    try {
      const { token, position } = store.state;
      const more = token === null ? {} : { token };
      const [last, stream] = await Promise.all([ask(store.question("last", more)), ask(store.question("stream", { position }))]);
      if (mine !== turn) return;
      if (choose) store.set(strongestHead(last));
      choose = false;
      // Who moves over it with the keyboard stays in it.
      const held = drawn?.contains(document.activeElement);
      drawn = draw({ store, last, stream, open, room: Math.max(480, holder.clientWidth || 1100) });
      holder.replaceChildren(drawn);
      if (held) drawn.focus({ preventScroll: true });
      inSight(holder, drawn);
      caption.replaceChildren(...said(last));
    } catch (error) {
      if (mine === turn) caption.textContent = error.message;
    }
  };
  store.on((names) => {
    if (["ids", "edits", "position", "token", "model"].some((name) => names.has(name))) show();
    else if (names.has("block") || names.has("head")) drawn?.mark(store.state.block, store.state.head);
    if (drawn && names.has("block")) inSight(holder, drawn);
  });
  return figure;
}

function said({ token, top }) {
  const first = token.id === top[0].id;
  return [
    "Discs: what each head adds to the logit of ",
    chip(token),
    ", hollow where it takes away. Bars: what each MLP adds. Click what you want to see. ",
    first ? "" : `(The most probable token is another one.) `,
  ];
}

/** Scrolls to the chosen block where the picture is wider than the page. */
function inSight(holder, drawn) {
  const marker = drawn.querySelector(".marker");
  const at = Number(marker.getAttribute("x"));
  if (at < holder.scrollLeft || at + 60 > holder.scrollLeft + holder.clientWidth) holder.scrollLeft = at - holder.clientWidth / 2;
}

function draw({ store, last, stream, open, room }) {
  const { model, tokens, position } = store.state;
  const { layers, heads } = model;
  const added = new Map(last.parts.map(({ name, value }) => [name, value]));
  const from = shownText(tokens[position]);
  const left = 24 + Math.min(110, textWidth(cut(from, 12), 13) + 18);
  const stage = left + 40;
  const right = 168;
  const column = Math.max(24, Math.min(120, Math.floor((room - stage - right) / layers)));
  const across = Math.max(1, Math.min(heads, heads > 6 ? Math.floor((column - 4) / 13) : 1));
  const rows = Math.ceil(heads / across);
  const cell = Math.max(9, Math.min(22, (column - 6) / across));
  const top = 26;
  const line = top + rows * cell + 24;
  const width = stage + layers * column + right;
  // Room below the axis of the MLPs only where one takes away.
  const under = [...added].some(([name, value]) => name.endsWith(".mlp") && value < 0) ? MLP : 4;
  const height = line + 22 + MLP + under + 18;
  const most1 = most([...added].filter(([name]) => name.includes(".head.")).map(([, value]) => value));
  const most2 = most([...added].filter(([name]) => name.endsWith(".mlp")).map(([, value]) => value));
  const label = `The model at position ${position}, ${from}: ${layers} blocks of ${heads} heads and an MLP; the heads that add most are ${strongHeads(added)}; next comes ${last.top
    .slice(0, 3)
    .map((one) => `${shownText(one)} ${percent(Math.exp(one.logprob))}`)
    .join(", ")}`;
  const made = picture(width, height, label);
  const columns = Array.from({ length: layers }, (_, block) =>
    svg("rect", { x: stage + block * column + 1, y: 6, width: column - 2, height: height - 12, rx: 8, class: "block" }),
  );
  made.append(
    ...columns,
    ...streamLine({ stream, stage, column, layers, line, left, width, right }),
    ...rowNames({ stage, top, rows, cell, middle: line + 24 + MLP }),
  );
  for (let block = 0; block < layers; block++) {
    const x = stage + block * column;
    made.append(svg("text", { x: x + column / 2, y: 20, "text-anchor": "middle", class: "label" }, block));
    for (let head = 0; head < heads; head++)
      made.append(
        headDisc({ x, top, column, cell, across, block, head, value: added.get(`block.${block}.attention.head.${head}`) ?? 0, full: most1 }),
      );
    made.append(mlpBar({ x, column, middle: line + 24 + MLP, under, block, value: added.get(`block.${block}.mlp`) ?? 0, full: most2 }));
  }
  made.append(...ends({ tokens, position, from, line, left, width, right, last, store, top }));
  const marker = svg("rect", { class: "marker", rx: 8, y: 6, width: column - 2, height: height - 12 });
  const ring = svg("rect", { class: "marker head-marker", rx: cell / 2, width: cell, height: cell });
  made.append(marker, ring);
  made.mark = (block, head) => {
    marker.setAttribute("x", stage + block * column + 1);
    const at = placeOfHead({ x: stage + block * column, top, column, cell, across, head });
    ring.setAttribute("x", round(at.x - cell / 2));
    ring.setAttribute("y", round(at.y - cell / 2));
  };
  made.mark(store.state.block, store.state.head);
  listen(made, store, open, { stage, column, layers, left, line, top, rows, cell, height });
  return made;
}

function strongestHead({ parts }) {
  const heads = parts.filter(({ name }) => name.includes(".head."));
  const most = heads.reduce((a, b) => (b.value > a.value ? b : a), heads[0]);
  const [block, head] = most.name.match(/\d+/g).map(Number);
  return { block, head };
}

function strongHeads(added) {
  const heads = [...added]
    .filter(([name]) => name.includes(".head."))
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3);
  return heads.map(([name, value]) => `${name.replace(/\D+/g, " ").trim().replace(" ", ".")} ${signed(value)}`).join(", ");
}

const rowNames = ({ stage, top, rows, cell, middle }) => [
  svg("text", { x: stage - 8, y: round(top + (rows * cell) / 2 + 6), "text-anchor": "end", class: "label" }, "heads"),
  svg("text", { x: stage - 8, y: middle, "text-anchor": "end", class: "label" }, "MLP"),
];

/** The residual stream: a band whose thickness is its length. */
function streamLine({ stream, stage, column, layers, line, left, width, right }) {
  const full = most(stream.norms);
  const thick = (at) => Math.max(1.5, (THICK * stream.norms[Math.min(layers, at)]) / full);
  const points = [
    [left, thick(0)],
    ...Array.from({ length: layers + 1 }, (_, at) => [stage + at * column, thick(at)]),
    [width - right + 14, thick(layers)],
  ];
  const upper = points.map(([x, t]) => `${round(x)} ${round(line - t / 2)}`);
  const lower = points.reverse().map(([x, t]) => `${round(x)} ${round(line + t / 2)}`);
  return [
    svg(
      "path",
      { d: `M${upper.join("L")}L${lower.join("L")}z`, class: "data stream" },
      svg("title", {}, "The residual stream: its thickness is its length"),
    ),
  ];
}

function placeOfHead({ x, top, column, cell, across, head }) {
  const wide = across * cell;
  return { x: x + (column - wide) / 2 + ((head % across) + 0.5) * cell, y: top + (Math.floor(head / across) + 0.5) * cell + 2 };
}

function headDisc({ x, top, column, cell, across, block, head, value, full }) {
  const at = placeOfHead({ x, top, column, cell, across, head });
  const most = cell / 2 - 2;
  const radius = round(Math.max(0.5, most * Math.sqrt(Math.abs(value) / full)));
  const title = svg("title", {}, `block ${block}, head ${head}: ${signed(value)}`);
  return svg(
    "g",
    { class: "pickable", "data-block": block, "data-head": head },
    title,
    svg("circle", { cx: round(at.x), cy: round(at.y), r: round(cell / 2 - 1), class: "socket" }),
    svg("circle", { cx: round(at.x), cy: round(at.y), r: radius, class: value < 0 ? "data negative" : "data" }),
  );
}

function mlpBar({ x, column, middle, under, block, value, full }) {
  const tall = round((MLP * Math.abs(value)) / full);
  const wide = Math.max(6, Math.min(22, column * 0.4));
  const title = svg("title", {}, `block ${block}, MLP: ${signed(value)}`);
  return svg(
    "g",
    { class: "pickable", "data-block": block, "data-mlp": "" },
    title,
    svg("path", { d: `M${x + 6} ${middle}h${column - 12}`, class: "axis" }),
    svg("rect", { x: x + 2, y: middle - MLP, width: column - 4, height: MLP + under, class: "touch" }),
    svg("rect", {
      x: round(x + (column - wide) / 2),
      y: value < 0 ? middle : middle - tall,
      width: wide,
      height: Math.max(0.5, tall),
      rx: 3,
      class: value < 0 ? "data negative" : "data",
    }),
  );
}

/** The word that goes in, and the words that come out. */
function ends({ from, line, left, width, right, last, top }) {
  const text = cut(from, 12);
  const wide = textWidth(text, 13) + 16;
  const x = left - wide - 4;
  const word = svg(
    "g",
    { class: "pickable", "data-open": "embedding" },
    svg("rect", { x, y: line - 13, width: wide, height: 26, rx: 6, class: "word chosen" }),
    svg("text", { x: x + wide / 2, y: line + 4, "text-anchor": "middle", class: "word-text" }, text),
  );
  const first = width - right + 22;
  const full = Math.exp(last.top[0].logprob);
  const some = last.top.slice(0, 6);
  const start = Math.max(top, line - some.length * 12);
  const out = some.map((one, at) => {
    const y = start + at * 25;
    const p = Math.exp(one.logprob);
    return svg(
      "g",
      {},
      svg("text", { x: first, y: y + 9, class: `word-text${one.id === last.token.id ? " strong" : ""}` }, cut(shownText(one), 10)),
      svg("rect", { x: first, y: y + 14, width: round(Math.max(1, (100 * p) / full)), height: 4, rx: 2, class: "data" }),
      svg("text", { x: width - 4, y: y + 9, "text-anchor": "end", class: "share" }, percent(p)),
    );
  });
  return [
    word,
    svg(
      "g",
      { class: "pickable", "data-open": "next" },
      svg("rect", { x: first - 8, y: start - 8, width: right - 14, height: some.length * 25 + 6, class: "touch" }),
      ...out,
    ),
  ];
}

/** Clicks open what they hit; the arrow keys move over blocks and heads. */
function listen(made, store, open, { stage, column, layers, line, left }) {
  made.setAttribute("tabindex", "0");
  made.setAttribute("aria-description", "Left and right choose a block, up and down a head, Enter opens the head");
  made.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-open], [data-block]");
    if (hit?.dataset.open) return open(hit.dataset.open);
    if (hit) {
      const { block, head, mlp } = hit.dataset;
      store.set({ block: Number(block), ...(head !== undefined && { head: Number(head) }) });
      return open(mlp !== undefined ? "mlp" : "head");
    }
    const box = made.getBoundingClientRect();
    const scale = made.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const block = Math.floor((x - stage) / column);
    if (block >= 0 && block < layers) {
      store.set({ block });
      open(Math.abs(y - line) < 14 ? "lens" : "attention");
    } else if (x > left) open(block < 0 ? "embedding" : "last");
  });
  made.addEventListener("keydown", (event) => {
    const by = { ArrowRight: ["block", 1], ArrowLeft: ["block", -1], ArrowDown: ["head", 1], ArrowUp: ["head", -1] }[event.key];
    if (event.key === "Enter") open("head");
    if (!by) return;
    event.preventDefault();
    store.set({ [by[0]]: store.state[by[0]] + by[1] });
  });
}
