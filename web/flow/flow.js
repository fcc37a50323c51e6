// The place "Flow": a text at the top, the whole model as one picture, and below it a view for each station.

import { announce, later, make } from "../dom.js";
import { tokenStrip } from "../draw/token_strip.js";
import { addPlace, go, note } from "../places.js";
import { view as attention } from "./attention.js";
import { view as change } from "./change.js";
import { changes } from "./changes.js";
import { choosers } from "./choosers.js";
import { view as embedding } from "./embedding.js";
import { view as head } from "./head.js";
import { view as heads } from "./heads.js";
import { view as last } from "./last.js";
import { view as lens } from "./lens.js";
import { view as mlp } from "./mlp.js";
import { view as next } from "./next.js";
import { overview } from "./overview.js";
import { bindStore, fromParameters, makeStore, toParameters } from "./store.js";
import { closeTrace, openTrace, startTrace } from "./trace.js";
import { view as tokens } from "./tokens.js";
import { view as why } from "./why.js";

/** The stations in the order of the flow, then what asks and changes. */
const VIEWS = [tokens, embedding, attention, head, heads, mlp, lens, last, next, change, why];
const FIRST = "The cat sat on the";

let store = null;
let shown = null;
/** Views that were made, by id. */
const made = new Map();
let restoring = false;

const element = document.getElementById("flow");

export function startFlow() {
  startTrace();
  addPlace({ id: "flow", label: "Flow", element, show, hide: closeTrace });
}

/** Shows exact tokens of a chat in the flow: `{ ids, position?, token?, view? }`. */
export function openInFlow({ view: id = "tokens", ids, position = ids.length - 1, token = null }) {
  requestAnimationFrame(toViews);
  go("flow", { view: id, i: ids.map((one) => one.toString(36)).join("."), p: String(position), ...(token !== null && { w: String(token) }) });
}

/** Shows what a link says; without one, what was there. */
function show(state) {
  const fresh = !store;
  if (fresh) build(state);
  const view = VIEWS.find(({ id }) => id === state.view) ?? shown ?? VIEWS[0];
  if (!fresh && (state.t !== undefined || state.i !== undefined)) {
    restoring = true;
    Promise.resolve(store.set(fromParameters(state))).finally(() => setTimeout(() => (restoring = false)));
  }
  open(view);
}

function build(state) {
  const given = state.t !== undefined || state.i !== undefined;
  store = makeStore(given ? fromParameters(state) : { text: FIRST, block: 0 });
  restoring = true;
  store.ready.finally(() => setTimeout(() => (restoring = false)));
  bindStore(element, store);
  // Views ask for another station with this event.
  element.addEventListener("glass-open", ({ detail }) => openById(detail));
  const stations = make("ol", { class: "stations" }, ...VIEWS.map(station));
  const host = make("div", { id: "flow-views" });
  element.append(
    make("div", { class: "flow-top" }, make("h1", { class: "hidden" }, "Flow"), textField(), strip(), changes(store)),
    overview(store, openById, !given),
    make("nav", { class: "station-bar", "aria-label": "Stations of the flow" }, stations),
    choosers(store, () => shown?.uses ?? []),
    host,
  );
  store.on((names) => {
    if (names.has("trace")) store.state.trace ? openTrace(store, store.state.trace) : closeTrace();
    const step = !restoring && ["text", "ids", "edits", "second"].some((name) => names.has(name));
    note("flow", { view: shown?.id, ...toParameters(store.state) }, step);
  });
}

function station(view) {
  const go = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(view, true);
  };
  return make("li", {}, make("a", { href: `#flow/${view.id}`, "data-station": view.id, onclick: go }, view.station ?? view.title));
}

/** Opens a view; `push` makes it a step of the Back button. */
function open(view, push = false) {
  const other = shown !== view;
  shown = view;
  for (const link of element.querySelectorAll("[data-station]")) {
    if (link.dataset.station === view.id) {
      link.setAttribute("aria-current", "page");
      const bar = link.closest(".stations");
      bar.scrollLeft = link.offsetLeft - bar.clientWidth / 2 + link.offsetWidth / 2;
    } else link.removeAttribute("aria-current");
  }
  const host = document.getElementById("flow-views");
  if (!made.has(view.id)) {
    const wrapper = make("div", {});
    host.append(wrapper);
    for (const { wrapper } of made.values()) wrapper.hidden = true;
    made.set(view.id, { wrapper, ...view.make(wrapper, store) });
  } else if (other) {
    for (const [id, { wrapper }] of made) wrapper.hidden = id !== view.id;
    made.get(view.id).show();
  }
  element.dispatchEvent(new Event("glass-station"));
  if (store.state.ids.length) note("flow", { view: view.id, ...toParameters(store.state) }, push && other);
  if (push && other) {
    announce(view.title);
    if (host.getBoundingClientRect().top > innerHeight * 0.6) toViews();
  }
}

const openById = (id) => open(VIEWS.find((view) => view.id === id), true);

/** Brings the open view into sight, below the bar of the stations. */
function toViews() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.querySelector(".station-bar")?.scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
}

function textField() {
  const area = make("textarea", { id: "flow-text", rows: "1", spellcheck: "false", "aria-describedby": "flow-trouble" });
  const trouble = make("p", { id: "flow-trouble", class: "note trouble", role: "status" });
  const read = later(250, () => {
    // What names positions does not hold for another text.
    const edits = store.state.edits.filter((edit) => edit.silence || edit.steer !== undefined);
    store.set({ text: area.value, edits, token: null, key: null });
  });
  area.addEventListener("input", read);
  const fill = () => {
    if (document.activeElement !== area && area.value !== store.state.text) area.value = store.state.text;
    trouble.textContent = store.trouble ?? "";
  };
  store.on(fill);
  return make("div", { class: "flow-text" }, make("label", { for: "flow-text" }, "Text"), area, trouble);
}

/** The tokens; the chosen one is the position that all views show. */
function strip() {
  const holder = make("div", { class: "flow-strip", id: "flow-tokens" });
  let chips = null;
  store.on((names) => {
    if (names.has("tokens") || !chips) {
      const { tokens, position } = store.state;
      chips = tokenStrip({
        tokens,
        chosen: position,
        label: "The tokens of the text; the chosen one is the position that all views show",
        pick: (at) => store.set({ position: at, token: null }),
      });
      holder.replaceChildren(chips);
    } else if (names.has("position")) chips.mark(store.state.position);
    if (names.has("position") || names.has("tokens")) holder.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  return holder;
}
