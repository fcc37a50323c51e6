// The view "Next word": the true distribution, what samplers make of it, and drawing a token from it.

import { makeControls, NEUTRAL } from "../controls.js";
import { drawCurve } from "../curve.js";
import { drawnFrom, ranking } from "../distribution.js";
import { announce, find, later, make } from "../dom.js";
import { number } from "../draw/number.js";
import { format, percent, values } from "../draw/numbers.js";
import { cut, picture, round, svg, textWidth } from "../draw/svg.js";
import { chip, quoted, shownText } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { columns, note, part } from "./parts.js";
import { defineView } from "./view.js";

const ROWS = 14;
const WRITTEN = 20;

export const view = defineView({
  id: "next",
  title: "Next word",
  about: "Every token of the vocabulary gets a probability. Samplers may leave out improbable ones; then one token is drawn.",
  uses: ["position"],
  draw,
});

async function draw({ state, store, signal, again }) {
  const { model, position } = state;
  const found = await ask(store.question("next", { top: ROWS }));
  const logprobs = values(found.logprobs);
  const order = ranking(logprobs);
  const names = new Map(found.top.map((one) => [one.id, one]));
  const parts = {
    bar: make("div", {}),
    list: make("div", {}),
    remain: make("p", { class: "note", role: "status" }),
    curve: make("canvas", { class: "curve", role: "img", "aria-label": "Probability of every token by rank; the list has the numbers" }),
    drawn: make("div", { class: "drawn", role: "status" }),
  };
  const seen = { store, position, logprobs, order, names, parts, size: order.length, again };
  const controls = makeControls(() => redraw(seen), "flow-control");
  seen.controls = controls;
  controls.set(state.samplers ?? NEUTRAL, order.length);
  seen.keep = later(300, () => store.set({ samplers: isNeutral(controls.values) ? null : controls.values }));
  if (signal.aborted) return [];
  const set = (to) => () => {
    controls.set(to, order.length);
    redraw(seen);
  };
  const advice = { temperature: model.temperature ?? 1, top_k: model.top_k ?? 0, top_p: model.top_p ?? 1, min_p: model.min_p ?? 0 };
  requestAnimationFrame(() => redraw(seen));
  return [
    drawing(seen),
    columns(
      part(
        "The most probable tokens",
        parts.list,
        note(
          `Uncertainty (entropy): ${format(found.entropy / Math.LN2, 3)} bits, as many as a choice among ${format(Math.exp(found.entropy), 3)} equally probable tokens.`,
        ),
      ),
      part(
        "Samplers",
        make(
          "div",
          { class: "row" },
          make("button", { type: "button", class: "quiet", "data-focus": "neutral", onclick: set(NEUTRAL) }, "The true distribution"),
          make("button", { type: "button", class: "quiet", "data-focus": "advised", onclick: set(advice) }, "As the model advises"),
        ),
        controls.element,
        parts.remain,
        parts.curve,
        make(
          "p",
          { class: "note legend" },
          make("span", { class: "key raw" }),
          "the model, by rank ",
          make("span", { class: "key data" }),
          "after the samplers",
        ),
      ),
    ),
  ];
}

/** The bar of all that can be drawn, and the buttons that draw. */
function drawing(seen) {
  const act = (f) => () => f(seen);
  const draw = make(
    "button",
    { type: "button", class: "primary", id: "draw-token", "data-focus": "draw-token", onclick: act(drawOne) },
    "Draw a token",
  );
  const on = make("button", { type: "button", id: "go-on", "data-focus": "go-on", onclick: act(goOn) }, "Put it at the end and go on");
  const write = make(
    "button",
    { type: "button", class: "quiet", id: "write-on", "data-focus": "write-on", onclick: act(writeOn) },
    `Write ${WRITTEN} tokens`,
  );
  on.disabled = true;
  Object.assign(seen, { on, write });
  return part("Draw", seen.parts.bar, make("div", { class: "row" }, draw, on, write, seen.parts.drawn));
}

function redraw(seen) {
  const { order, logprobs, controls, parts, size } = seen;
  seen.keep();
  const drawn = drawnFrom(logprobs, order, controls.values);
  seen.drawn = drawn;
  const raw = (place) => Math.exp(logprobs[order[place]]);
  parts.remain.textContent = `${drawn.kept.toLocaleString("en")} of ${size.toLocaleString("en")} tokens can be drawn.`;
  parts.list.replaceChildren(list(seen, drawn, raw));
  parts.bar.replaceChildren(shares(seen, drawn));
  if (parts.curve.isConnected) drawCurve(parts.curve, { size, raw, drawn: drawn.probability, kept: drawn.kept, chosen: seen.place ?? 0 });
}

const isNeutral = (values) => Object.entries(NEUTRAL).every(([name, value]) => values[name] === value);

const tokenOf = (seen, id) => seen.names.get(id) ?? { id, text: `id ${id}` };

function list(seen, drawn, raw) {
  const changed = !isNeutral(seen.controls.values);
  const most = Math.max(raw(0), drawn.probability(0));
  const rows = seen.order.subarray(0, ROWS);
  const head = ["Token", "", "Model", ...(changed ? ["Drawn"] : [])];
  const body = Array.from(rows, (id, place) => {
    const now = drawn.probability(place);
    const bar = (kind, p) => {
      const made = make("span", { class: `fill ${kind}` });
      made.style.width = `${(100 * p) / most}%`;
      return made;
    };
    const row = make(
      "tr",
      { class: place < drawn.kept ? "" : "out" },
      make("th", { scope: "row" }, chip(tokenOf(seen, id))),
      make("td", { class: "two-bars", "aria-hidden": "true" }, changed && bar("raw", raw(place)), bar("now", now)),
      make("td", {}, number(raw(place), { probability: id, position: seen.position }, { as: "percent" })),
    );
    if (changed) row.append(make("td", {}, place < drawn.kept ? percent(now) : "out"));
    return row;
  });
  return make(
    "table",
    { class: "numbers next-list" },
    make("caption", { class: "hidden" }, "The most probable tokens: the model's probability, and the probability after the samplers"),
    make("thead", {}, make("tr", {}, ...head.map((text) => (text ? make("th", { scope: "col" }, text) : make("td", {}))))),
    make("tbody", {}, ...body),
  );
}

/** In pixels: as wide as the page, on a phone too. */
const wide = () => Math.max(280, Math.min(960, innerWidth - 48));

/** Everything that can be drawn as one bar, each token as wide as it is probable. */
function shares(seen, drawn) {
  const whole = wide();
  const made = picture(
    whole,
    46,
    `Tokens as wide as they are probable: ${Array.from(seen.order.subarray(0, 5), (id, place) => `${shownText(tokenOf(seen, id))} ${percent(drawn.probability(place))}`).join(", ")}`,
  );
  made.classList.add("wide");
  let x = 0;
  for (let place = 0; place < drawn.kept; place++) {
    const room = whole * drawn.probability(place);
    if (room < 1.5) break;
    const text = cut(shownText(tokenOf(seen, seen.order[place])), 14);
    made.append(
      svg("rect", {
        x: round(x + 0.5),
        y: 12,
        width: round(Math.max(0.5, room - 1.5)),
        height: 30,
        rx: 5,
        class: `share-box${place === seen.place ? " chosen" : ""}`,
      }),
    );
    if (seen.names.has(seen.order[place]) && textWidth(text, 13, 400, true) + 8 < room)
      made.append(svg("text", { x: round(x + room / 2), y: 31, "text-anchor": "middle", class: "word-text" }, text));
    x += room;
  }
  if (x < whole - 1)
    made.append(
      svg("rect", {
        x: round(x + 0.5),
        y: 12,
        width: round(whole - x - 1),
        height: 30,
        rx: 5,
        class: `share-box tail${seen.point * whole > x ? " chosen" : ""}`,
      }),
    );
  if (seen.point !== undefined) made.append(svg("path", { d: `M${round(seen.point * whole)} 10l-6 -10h12z`, class: "needle" }));
  return made;
}

/** Where a random point falls on the bar is the token that is drawn. */
async function drawOne(seen) {
  const point = crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
  let sum = 0;
  let place = 0;
  while (place < seen.drawn.kept - 1 && (sum += seen.drawn.probability(place)) <= point) place += 1;
  Object.assign(seen, { point, place });
  const id = seen.order[place];
  if (!seen.names.has(id)) {
    const { tokens } = await ask({ ask: "pieces", ids: [id] });
    seen.names.set(id, tokens[0]);
  }
  redraw(seen);
  seen.on.disabled = false;
  seen.parts.drawn.replaceChildren("drawn: ", chip(tokenOf(seen, id)), ` ${percent(seen.drawn.probability(place))}`);
}

function goOn(seen) {
  const { store, order, place } = seen;
  const token = tokenOf(seen, order[place]);
  store.set({ ids: [...store.upTo(seen.position), order[place]], text: "", token: null, key: null, edits: store.state.edits });
  find("draw-token").focus({ preventScroll: true });
  announce(`${quoted(token)} was added.`);
}

async function writeOn(seen) {
  const { store, controls, parts, position } = seen;
  const { temperature, top_k, top_p, min_p } = controls.values;
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const ids = store.upTo(position);
  seen.write.disabled = true;
  try {
    const answer = await ask(
      { ask: "generate", ids, tokens: WRITTEN, temperature, ...(top_k && { top_k }), top_p, min_p, seed },
      { onFrame: (frame) => parts.drawn.append(chip(frame)) },
    );
    store.set({ ids: [...ids, ...answer.ids], text: "", token: null, key: null });
  } catch (error) {
    parts.drawn.textContent = error.message;
  } finally {
    seen.write.disabled = false;
  }
}
