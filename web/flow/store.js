// What a reader looks at: a text and its tokens, and in them the chosen position, block and head, and what was changed.
// Every view follows a store. The place "Flow" has one; chapters of the course make their own.

import { ask } from "../engine.js";

const stores = new WeakMap();

/** Makes `element` and all in it belong to a store; numbers in it are traced there. */
export const bindStore = (element, store) => stores.set(element, store);

/** The store an element belongs to. */
export function storeOf(element) {
  for (let at = element; at; at = at.parentElement) if (stores.has(at)) return stores.get(at);
  return null;
}

const FRESH = {
  text: "",
  /** The exact tokens: `ids` and `tokens` (`{ id, text, bytes }`); they follow from the text, or are given. */
  ids: [],
  tokens: [],
  /** Whether the ids were given (a chat, a drawn token), so that a link must hold them. */
  exact: false,
  position: 0,
  block: 0,
  head: 0,
  neuron: null,
  /** The word that is looked at, in the view of attention; null: none. */
  key: null,
  /** Which step of attention: "product", "scaled", "masked" or "pattern". */
  step: "pattern",
  /** Edits, as questions take them. */
  edits: [],
  /** A second text, to patch from or to compare with. */
  second: "",
  secondIds: [],
  secondTokens: [],
  /** Whether the attention to the first token is shown. */
  sink: true,
  lens: "logit",
  /** The samplers' values, as controls.js has them; null: the true distribution. */
  samplers: null,
  /** The number that is being traced, as the question "trace" takes it; null: none. */
  trace: null,
  /** The token that is asked about; null: the most probable one. */
  token: null,
};

/**
 * Makes a store: `makeStore({ text: "The cat", block: 3 })`, or with `ids`. `store.state` holds the fields above and
 * `model`; `store.set({ … })` changes some; `store.on(f)` calls `f(names)` with a Set of what changed and returns a
 * function that ends that; `store.ready` resolves once the tokens are known.
 */
export function makeStore(start = {}) {
  const listeners = new Set();
  let names = new Set();
  let turn = 0;
  const store = { state: { ...FRESH, model: null }, trouble: null, ready: null, set, on, upTo, editsFor, question };

  function tell(...changed) {
    if (!names.size)
      queueMicrotask(() => {
        const told = names;
        names = new Set();
        for (const f of listeners) f(told);
      });
    for (const name of changed) names.add(name);
  }

  function on(f) {
    listeners.add(f);
    return () => listeners.delete(f);
  }

  function set(changes) {
    const old = store.state;
    const changed = Object.keys(changes).filter((name) => !same(old[name], changes[name]));
    // A typed text takes the place of exact tokens even if both read alike.
    if (changes.text !== undefined && !changes.ids && old.exact && !changed.includes("text")) changed.push("text");
    if (!changed.length) return store.ready;
    const next = { ...old, ...changes };
    const retold = changed.some((name) => name === "text" || name === "ids" || name === "second");
    if (!retold) {
      store.state = within(next);
      tell(...changed);
      return store.ready;
    }
    const mine = ++turn;
    store.ready = read(changes, changed, next).then(
      (found) => {
        if (mine !== turn) return;
        // What was chosen meanwhile stays.
        store.state = within({ ...store.state, ...found, model: store.state.model ?? found.model });
        store.trouble = null;
        tell(...changed, ...Object.keys(found));
      },
      (error) => {
        if (mine !== turn) return;
        store.trouble = error.message;
        tell("trouble");
      },
    );
    return store.ready;
  }

  /** The ids up to the chosen position (or another one), the position itself included. */
  function upTo(position = store.state.position) {
    return store.state.ids.slice(0, position + 1);
  }

  /** The edits for the first `n` tokens; those that need more are left out. */
  function editsFor(n = store.state.ids.length) {
    return editsOf(store.state, n);
  }

  /** A question about the text up to the chosen position, with the edits: `store.question("next", { top: 5 })`. */
  function question(name, more = {}, position = store.state.position) {
    const ids = upTo(position);
    return { ask: name, ids, edits: editsFor(ids.length), ...more };
  }

  set({ ...start, text: start.text ?? "", ids: start.ids ?? null, first: true });
  return store;
}

/**
 * The edits of a state for its first `n` tokens; those that need more are left out. Where the text has grown since a patch
 * was made, its second text grows with it.
 */
function editsOf({ edits, ids }, n) {
  return edits.flatMap((edit) => {
    if (edit.cut) return edit.cut[0] < n && (edit.cut[1] ?? 0) < n ? [edit] : [];
    if (edit.at && edit.at[0] >= n) return [];
    const at = edit.at && [edit.at[0], Math.min(edit.at[1], n)];
    const from = edit.from && [...edit.from, ...ids.slice(edit.from.length)].slice(0, n);
    return [{ ...edit, ...(at && { at }), ...(from && { from }) }];
  });
}

/** Finds the tokens of what was changed. */
async function read(changes, changed, next) {
  const found = { ...pick(next, changed), model: await ask({ ask: "model" }) };
  delete found.first;
  if (changes.ids) {
    const { tokens } = await ask({ ask: "pieces", ids: changes.ids });
    Object.assign(found, { tokens, text: changes.text || textOfTokens(tokens, found.model), exact: changes.exact ?? true });
  } else if (changed.includes("text") || changes.ids === null) {
    const { ids, tokens } = await ask({ ask: "tokens", text: next.text });
    Object.assign(found, { ids, tokens, exact: false });
  }
  if (found.tokens && changes.position === undefined) found.position = Infinity;
  const most = found.model.context;
  if (found.ids?.length > most) throw new Error(`This text has ${found.ids.length.toLocaleString("en")} tokens, and the model can read ${most.toLocaleString("en")}. Shorten it; until then the text before is shown.`);
  if (changed.includes("second")) {
    const second = next.second ? await ask({ ask: "tokens", text: next.second }) : { ids: [], tokens: [] };
    Object.assign(found, { secondIds: second.ids, secondTokens: second.tokens });
  }
  return found;
}

const pick = (from, names) => Object.fromEntries(names.map((name) => [name, from[name]]));

/** The text of tokens, without the start token. */
export function textOfTokens(tokens, model) {
  const bytes = tokens.filter(({ id }, at) => !(at === 0 && id === model?.start)).flatMap(({ bytes }) => bytes);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

const same = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));

/** Choices that a shorter text or another model does not have are moved into it. */
function within(state) {
  const { model, ids } = state;
  const limit = (value, n) => Math.max(0, Math.min(n - 1, Number(value) || 0));
  return {
    ...state,
    position: limit(state.position, ids.length),
    block: model ? limit(state.block, model.layers) : state.block,
    head: model ? limit(state.head, model.heads) : state.head,
  };
}

// The state in a link: short names, and nothing that is as at the start.

const SHORT = { position: "p", block: "b", head: "h", neuron: "n", key: "k", step: "g", second: "u", lens: "l", token: "w" };

const SAMPLERS = ["temperature", "top_k", "top_p", "min_p"];

function parsed(text) {
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** The store's state as parameters of a link. */
export function toParameters(state) {
  const found = state.exact ? { i: state.ids.map((id) => id.toString(36)).join(".") } : { t: state.text };
  for (const [name, short] of Object.entries(SHORT)) if (state[name] !== FRESH[name]) found[short] = String(state[name]);
  if (state.position === state.ids.length - 1) delete found.p;
  else found.p = String(state.position);
  if (!state.sink) found.s = "0";
  if (state.edits.length) found.e = JSON.stringify(state.edits);
  if (state.trace) found.x = JSON.stringify(state.trace);
  if (state.samplers) found.d = SAMPLERS.map((name) => Number(state.samplers[name].toPrecision(4))).join("_");
  return found;
}

/** What parameters of a link say, as changes for `store.set`. Damaged parts are left out. */
export function fromParameters(parameters) {
  const found = { ...pick(FRESH, Object.keys(SHORT)), sink: parameters.s !== "0", edits: [], position: Infinity };
  for (const [name, short] of Object.entries(SHORT)) {
    const text = parameters[short];
    if (text === undefined) continue;
    found[name] = typeof FRESH[name] === "string" ? text : Number(text);
  }
  const edits = parsed(parameters.e);
  if (Array.isArray(edits)) found.edits = edits.filter((edit) => edit && typeof edit === "object");
  const trace = parsed(parameters.x);
  found.trace = trace && typeof trace === "object" ? trace : null;
  const numbers = (parameters.d ?? "").split("_").map(Number);
  found.samplers =
    numbers.length === SAMPLERS.length && numbers.every(Number.isFinite) ? Object.fromEntries(SAMPLERS.map((name, at) => [name, numbers[at]])) : null;
  if (parameters.i)
    found.ids = parameters.i
      .split(".")
      .map((id) => parseInt(id, 36))
      .filter(Number.isFinite);
  else if (parameters.t !== undefined) found.text = parameters.t;
  return found;
}
