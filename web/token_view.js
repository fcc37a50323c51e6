// The view "Token": what the chosen token is, how probable it was, and from what it was drawn.

import { app, on } from "./app.js";
import { chosenToken, step } from "./choosing.js";
import { makeControls, NEUTRAL } from "./controls.js";
import { drawCurve } from "./curve.js";
import { drawnFrom, penalised, ranking } from "./distribution.js";
import { count, find, later, make } from "./dom.js";
import { openInFlow } from "./flow/flow.js";
import { characterAround, hex, isPartial, textOf, visible } from "./pieces.js";
import { resolved } from "./settings.js";
import { after, forgetVocabulary, textOfId } from "./vocabulary.js";

const SHOWN = 15;

const element = make("div", { class: "token-view" });
const controls = makeControls(() => redraw());
/** The numbers that are shown: `{ chosen, logprobs, scores, order, placeOf, rows }`. */
let seen = null;
let rows = SHOWN;
let asking = null;
let shownKey = "";

const percent = (p) => (p === 0 ? "0 %" : p >= 0.99995 ? "100 %" : p >= 0.9995 ? `${(100 * p).toFixed(2)} %` : p >= 0.0995 ? `${(100 * p).toFixed(1)} %` : p >= 0.001 ? `${(100 * p).toFixed(2)} %` : `${(100 * p).toPrecision(2)} %`);

async function show() {
  const chosen = chosenToken();
  if (!chosen) {
    shownKey = "";
    element.replaceChildren(make("p", { class: "note" }, "Choose a token: click a word in the conversation, or go into a message with the Tab key and use the arrow keys. Its probability, its runners-up and the whole distribution appear here."));
    return;
  }
  const key = `${chosen.node}/${chosen.index}/${chosen.ids.join()}`;
  if (key === shownKey) return;
  shownKey = key;
  asking?.abort();
  const control = (asking = new AbortController());
  const held = element.contains(document.activeElement) ? document.activeElement.id : null;
  const facts = factsOf(chosen);
  element.replaceChildren(heading(chosen), facts.list, inFlow(chosen));
  if (held) document.getElementById(held)?.focus();
  if (!chosen.ids.length) {
    element.append(make("p", { class: "note" }, "Nothing stands before this token, so the model gave it no probability."));
    facts.none();
    return;
  }
  const wait = make("p", { class: "note" }, "Asking the model…");
  element.append(wait);
  try {
    const logprobs = await after(chosen.ids, control.signal);
    if (control.signal.aborted) return;
    const own = chosen.sent ?? resolved(app.model, app.talk.settings);
    const scores = penalised(logprobs, chosen.before, own);
    const order = ranking(scores);
    seen = { chosen, own, logprobs, scores, order, raw: scores === logprobs ? order : ranking(logprobs) };
    seen.place = order.indexOf(chosen.token.id);
    facts.probability(Math.exp(logprobs[chosen.token.id]), logprobs[chosen.token.id], seen.raw.indexOf(chosen.token.id), logprobs.length);
    controls.set(own, order.length);
    rows = SHOWN;
    wait.replaceWith(...distribution());
    if (held) document.getElementById(held)?.focus();
    redraw();
  } catch (error) {
    if (control.signal.aborted) return;
    shownKey = "";
    wait.textContent = `The probabilities cannot be had: ${error.message}`;
    wait.append(" ", make("button", { type: "button", class: "quiet", onclick: show }, "Try again"));
  }
}

function heading({ token, tokens, index }) {
  const go = (id, label, by, name) => make("button", { type: "button", id, class: "quiet", onclick: () => step(by), disabled: !tokens[index + by], "aria-label": name }, label);
  const shown = isPartial(token.raw) ? hex(token.raw) : visible(textOf(token.raw));
  return make(
    "div",
    { class: "token-head" },
    make("h2", { class: "token-name" }, shown || "(nothing)"),
    make("div", { class: "row" }, go("token-before", "‹", -1, "Token before"), make("span", { class: "note" }, `${index + 1} of ${tokens.length}`), go("token-next", "›", 1, "Next token")),
  );
}

/** The ways from here into the flow: the text up to this token, or the question why it follows. */
function inFlow({ token, ids, generated }) {
  const flow = () => openInFlow({ ids: [...ids, token.id] });
  const why = () => openInFlow({ ids: [...ids, token.id], position: ids.length - 1, token: token.id, view: "why" });
  return make(
    "div",
    { class: "row" },
    make("button", { type: "button", id: "token-flow", onclick: flow }, "Open in the flow"),
    ids.length > 0 && make("button", { type: "button", id: "token-why", onclick: why }, generated ? "Why this word?" : "Would it have said this?"),
  );
}

function factsOf({ token, tokens, index, ids, generated }) {
  const list = make("dl", { class: "facts" });
  const add = (name, ...value) => {
    const said = make("dd", {}, ...value);
    list.append(make("div", {}, make("dt", {}, name), said));
    return said;
  };
  const probability = add("Probability", "…");
  const rank = add("Rank", "…");
  add("Id", String(token.id));
  add("Bytes", make("code", {}, hex(token.raw)));
  add("Position", `${ids.length}${generated ? ", generated" : ", typed"}`);
  if (token.guessed) add("Guessed ahead", "yes, and right: it took no pass of its own");
  const whole = characterAround(tokens, index);
  if (whole) add("Part of a character", whole.text === null ? "these bytes alone are no character" : `part ${index - whole.from + 1} of ${whole.to - whole.from + 1} of “${visible(whole.text)}”`);
  return {
    list,
    none() {
      probability.textContent = rank.textContent = "none";
    },
    probability(p, logprob, place, size) {
      probability.replaceChildren(make("strong", {}, percent(p)), make("span", { class: "note" }, ` ln ${logprob.toFixed(3).replace("-", "−")}`));
      rank.textContent = `${(place + 1).toLocaleString("en")} of ${size.toLocaleString("en")}`;
    },
  };
}

function distribution() {
  const set = (values) => () => {
    controls.set(values, seen.order.length);
    redraw();
  };
  const { own, chosen } = seen;
  const remarks = [];
  if (seen.scores !== seen.logprobs) remarks.push("Presence and frequency penalties of the answer are applied first.");
  if (own.repetition_penalty !== undefined && own.repetition_penalty !== 1) {
    remarks.push(`A repetition penalty of ${own.repetition_penalty} is set. It divides logits and cannot be computed from probabilities, so it is left out here.`);
  }
  return [
    make("h3", {}, "What it is drawn from"),
    controls.element,
    make(
      "div",
      { class: "row" },
      make("button", { type: "button", id: "as-set", class: "quiet", onclick: set(own) }, chosen.generated ? "As it was drawn" : "As answers are drawn"),
      make("button", { type: "button", id: "as-raw", class: "quiet", onclick: set(NEUTRAL) }, "As the model gives it"),
    ),
    ...remarks.map((text) => make("p", { class: "note" }, text)),
    make("p", { id: "remain", class: "remain", role: "status" }),
    make("canvas", { id: "curve", class: "curve", role: "img", "aria-label": "Probability of every token by rank; the table below has the numbers" }),
    make("p", { class: "note legend" }, make("span", { class: "key raw" }), "the model, by rank ", make("span", { class: "key data" }), "after the controls"),
    make("table", { id: "runners" }),
    make("button", { type: "button", id: "more", class: "quiet", onclick: () => ((rows += 4 * SHOWN), redraw()) }, "Show more"),
  ];
}

let frame = 0;

/** Draws once a frame at most, however fast a control moves. */
function redraw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (!seen || !find("runners")) return;
    const { order, logprobs, place, chosen } = seen;
    const drawn = drawnFrom(seen.scores, order, controls.values);
    const raw = (at) => Math.exp(logprobs[order[at]]);
    const p = drawn.probability(place);
    const fate = drawn.kept <= place ? "this one cannot be drawn" : `this one: ${percent(p)}`;
    say(`${count(drawn.kept, "token")} of ${order.length.toLocaleString("en")} ${drawn.kept === 1 ? "remains" : "remain"}; ${fate}.`);
    drawCurve(find("curve"), { size: order.length, raw, drawn: drawn.probability, kept: drawn.kept, chosen: place });
    table(drawn, raw, chosen.token.id);
    find("more").hidden = rows >= order.length;
  });
}

/** Shown at once; screen readers hear only where it comes to rest. */
let remaining = "";
const settle = later(500, () => find("remain")?.setAttribute("aria-busy", "false"));
function say(text) {
  remaining = text;
  find("remain").setAttribute("aria-busy", "true");
  find("remain").textContent = remaining;
  settle();
}

function table(drawn, raw, id) {
  const { order, place } = seen;
  const places = Array.from({ length: Math.min(rows, order.length) }, (_, at) => at);
  if (place >= rows) places.push(place);
  const top = Math.max(raw(0), drawn.probability(0));
  const body = make("tbody");
  for (const at of places) {
    const now = drawn.probability(at);
    const name = make("td", { class: "piece" }, "…");
    textOfId(order[at]).then((text) => fillName(name, text, order[at])).catch(() => (name.textContent = `id ${order[at]}`));
    const row = make(
      "tr",
      { class: `${at >= drawn.kept ? "out" : ""}${order[at] === id ? " chosen" : ""}`, "aria-current": order[at] === id && "true" },
      make("td", { class: "rank" }, (at + 1).toLocaleString("en")),
      name,
      make("td", { class: "number" }, percent(raw(at))),
      make("td", { class: "number" }, at < drawn.kept ? percent(now) : "out"),
      make("td", { class: "bars", "aria-hidden": "true" }, bar("raw", raw(at) / top), bar("data", now / top)),
    );
    body.append(row);
  }
  const head = ["Rank", "Token", "Model", "Drawn"].map((text) => make("th", { scope: "col" }, text));
  const caption = make("caption", { class: "hidden" }, "The most probable tokens: the model’s probability, and the probability after the controls");
  find("runners").replaceChildren(caption, make("thead", {}, make("tr", {}, ...head, make("td", { "aria-hidden": "true" }))), body);
}

function fillName(cell, text, id) {
  if (text.includes("\ufffd")) cell.replaceChildren(make("span", { class: "note" }, `part of a character, id ${id}`));
  else cell.textContent = visible(text) || `id ${id}`;
}

function bar(kind, share) {
  const made = make("span", { class: `bar ${kind}` });
  made.style.width = `${Math.max(0, 100 * share)}%`;
  return made;
}

export const tokenView = { id: "token", label: "Token", element, show };

export function startTokenView() {
  const soon = later(60, show);
  on("chosen", soon);
  on("talk", soon);
  on("model", () => {
    forgetVocabulary();
    shownKey = "";
  });
  on("opened", () => (app.chosen = null));
  const again = later(80, redraw);
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  on("colours", again);
  element.addEventListener("keydown", (event) => {
    // The chosen token moves with the arrows from anywhere in the panel but its sliders.
    if (event.target.matches("input, textarea, select") || !app.chosen) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
}

