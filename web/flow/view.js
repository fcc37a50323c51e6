// What all views have in common: a title, a picture that follows the store, a link and files to keep it.

import { make } from "../dom.js";
import { keepRow } from "../draw/keep.js";
import { linkTo } from "../places.js";
import { bindStore, toParameters } from "./store.js";

let made = 0;

/**
 * Defines a view: `{ id, title, about, keys, draw }`, and `station`, a shorter title for lists. `draw({ store, state, signal, again, open })` returns the
 * elements to show, or a promise of them; it is called when one of `keys` (names of the store's fields) changes. `again()`
 * draws once more; `open(id)` asks for another view (a bubbling event "glass-open", which the place "Flow" heeds). `uses` names what the reader can choose for it: "position", "block", "head". The result is `{ id, title, uses, make(host, store) }`; `make` appends the view to `host` and returns
 * `{ element, show(), stop() }`.
 */
export function defineView({ id, title, station, about, keys = [], uses = [], draw, keep = true }) {
  const heeded = new Set(["ids", "tokens", "model", "edits", "trouble", ...keys, ...uses]);
  return {
    id,
    title,
    station,
    uses,
    make(host, store) {
      const name = `view-${id}-${(made += 1)}`;
      const body = make("div", { class: "view-body" });
      const remark = make("p", { class: "note view-remark", role: "status" });
      const link = () => linkTo("flow", { view: id, ...toParameters(store.state) });
      const row = keep && keepRow({ element: () => element, link, name: () => `glass-${id}` });
      const head = make("div", { class: "view-head" }, make("h2", { id: name }, title), row);
      const element = make(
        "section",
        { class: "flow-view", "data-view": id, "aria-labelledby": name },
        head,
        about && make("p", { class: "about" }, about),
        remark,
        body,
      );
      bindStore(element, store);
      host.append(element);
      const show = drawer({ element, body, remark, store, draw });
      const stop = store.on((names) => [...names].some((one) => heeded.has(one)) && show());
      show();
      return { element, show, stop };
    },
  };
}

/** Draws into `body` what the store says now; an older drawing that comes late is dropped. */
function drawer({ element, body, remark, store, draw }) {
  let control = null;
  const open = (id) => element.dispatchEvent(new CustomEvent("glass-open", { bubbles: true, detail: id }));
  return async function show() {
    if (!element.isConnected || element.closest("[hidden]")) return;
    control?.abort();
    const { signal } = (control = new AbortController());
    if (store.trouble) return void (remark.textContent = store.trouble);
    if (!store.state.model || !store.state.ids.length) return;
    const waiting = setTimeout(() => body.setAttribute("aria-busy", "true"), 150);
    try {
      const drawn = await draw({ store, state: store.state, signal, again: show, open });
      if (signal.aborted) return;
      const held = focusKey(body);
      body.replaceChildren(...[drawn].flat(Infinity).filter(Boolean));
      remark.textContent = "";
      refocus(body, held);
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return;
      if (!error.kind && !(error instanceof Error)) throw error;
      remark.textContent = error.message;
      if (error instanceof TypeError || error instanceof ReferenceError) console.error(error);
    } finally {
      clearTimeout(waiting);
      if (!signal.aborted) body.removeAttribute("aria-busy");
    }
  };
}

// Who works with the keyboard stays where they are when a view is drawn anew.

const KEYS = ["data-focus", "data-position", "data-at", "id"];

function focusKey(body) {
  const at = document.activeElement;
  if (!at || !body.contains(at)) return null;
  const key = KEYS.find((name) => at.hasAttribute(name));
  return key ? `[${key}="${CSS.escape(at.getAttribute(key))}"]` : null;
}

function refocus(body, selector) {
  if (selector) body.querySelector(selector)?.focus({ preventScroll: true });
}
