// The places of the page: the chat, the flow, the course. The fragment of the address holds the place and its state,
// `#flow/attention?t=The+cat&p=2`, so that a link restores it and the Back button works. Fragments of the chat's own
// links (`#z…`, `#j…`) belong to the chat.

import { find, make } from "./dom.js";

/** By id: `{ id, label, element, show(state), hide() }`. */
const places = new Map();
let open = null;
/** The fragment that is shown, so that the same news is not heard twice. */
let shown = null;
const listeners = [];

/**
 * Adds a place. `show(state)` is called when the reader comes to it or its state changes from outside (a link, the Back
 * button); state is `{ view, …parameters }`, all texts. `hide()` is called when the reader leaves it.
 */
export function addPlace(place) {
  places.set(place.id, place);
  if (place.element) place.element.hidden = true;
  const link = make("a", { href: `#${place.id}`, "data-place": place.id, onclick: (event) => returnTo(event, place) }, place.label);
  find("place-list").append(make("li", {}, link));
}

/** A place that was left is found again as it was. */
function returnTo(event, place) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(place.id, place.state ?? {});
}

/** What a fragment says: `{ place, state }`; the chat for everything that names no place. */
export function parse(fragment) {
  const found = /^#([a-z]+)(?:\/([\w-]*))?(?:\?(.*))?$/.exec(fragment);
  if (!found || !places.has(found[1])) return { place: "chat", state: {} };
  const state = Object.fromEntries(new URLSearchParams(found[3] ?? ""));
  if (found[2]) state.view = found[2];
  return { place: found[1], state };
}

/** The fragment of a place and a state. Empty values are left out. */
export function fragmentOf(place, { view, ...rest } = {}) {
  const query = new URLSearchParams(Object.entries(rest).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const text = query.toString();
  return `#${place}${view ? `/${view}` : ""}${text ? `?${text}` : ""}`;
}

/** The whole address, for a link that is copied. */
export const linkTo = (place, state) => new URL(fragmentOf(place, state), location.href).href;

/** Goes to a place and shows it with this state. */
export function go(place, state = {}) {
  const fragment = place === "chat" ? "#chat" : fragmentOf(place, state);
  if (fragment !== location.hash) history.pushState(null, "", fragment);
  follow();
}

/** Notes the state of the open place in the address, when the place has changed it itself. `push` makes it a step of the Back button. */
export function note(place, state, push = false) {
  if (open?.id !== place) return;
  const fragment = fragmentOf(place, state);
  open.state = state;
  if (fragment === location.hash) return;
  shown = fragment;
  history[push ? "pushState" : "replaceState"](null, "", fragment);
  for (const f of listeners) f(place, state);
}

/** Calls `f(place, state)` whenever the place or its state changes. */
export const onState = (f) => listeners.push(f);

/** The id of the open place. */
export const openPlace = () => open?.id;

/** Whether a fragment is one of the chat's own links to an answer. */
export const isAnswerLink = (fragment) => /^#[zj][\w-]{20,}$/.test(fragment);

function follow() {
  if (location.hash === shown) return;
  shown = location.hash;
  const { place: id, state } = parse(shown);
  const place = places.get(id) ?? places.values().next().value;
  if (open && open !== place) {
    open.hide?.();
    if (open.element) open.element.hidden = true;
  }
  const came = open !== place;
  open = place;
  place.state = state;
  document.body.dataset.place = place.id;
  if (place.element) place.element.hidden = false;
  for (const link of find("place-list").querySelectorAll("a")) {
    if (link.dataset.place === place.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (came) document.title = place.id === "chat" ? "Glass" : `${place.label} · Glass`;
  place.show?.(state);
  for (const f of listeners) f(place.id, state);
}

/** Shows what the address says, now and whenever it changes. */
export function startPlaces() {
  addEventListener("popstate", follow);
  addEventListener("hashchange", follow);
  follow();
}
