// What a view looks at, to be chosen: position, block, head. Only what the open view uses is shown.

import { make } from "../dom.js";
import { shownText } from "../draw/token_strip.js";

const OF = {
  position: { label: "Position", size: ({ ids }) => ids.length, name: (state, at) => `${at} ${shownText(state.tokens[at])}` },
  block: { label: "Block", size: ({ model }) => model.layers, name: (_, at) => `${at}` },
  head: { label: "Head", size: ({ model }) => model.heads, name: (_, at) => `${at}` },
};

/** The row of choosers. `uses()` says which ones the open view needs. */
export function choosers(store, uses) {
  const rows = Object.entries(OF).map(([name, of]) => chooser(store, name, of));
  const element = make("div", { class: "choosers row", role: "group", "aria-label": "What is looked at" }, ...rows.map((row) => row.element));
  const show = () => {
    if (!store.state.model) return;
    for (const row of rows) row.show(uses().includes(row.name));
    element.hidden = !uses().length;
  };
  document.getElementById("flow").addEventListener("glass-station", show);
  store.on((names) => ["tokens", "position", "block", "head", "model"].some((name) => names.has(name)) && show());
  return element;
}

function chooser(store, name, { label, size, name: nameOf }) {
  const id = `choose-${name}`;
  const select = make("select", { id, onchange: () => store.set({ [name]: Number(select.value) }) });
  const step = (by) => () => store.set({ [name]: store.state[name] + by });
  const back = make("button", { type: "button", class: "quiet", onclick: step(-1), "aria-label": `${label} before` }, "‹");
  const on = make("button", { type: "button", class: "quiet", onclick: step(1), "aria-label": `Next ${label.toLowerCase()}` }, "›");
  const element = make("div", { class: "chooser", "data-chooser": name }, make("label", { for: id }, label), back, select, on);
  let filled = "";
  function show(visible) {
    element.hidden = !visible;
    const { state } = store;
    const n = size(state);
    const key = name === "position" ? state.ids.join() : String(n);
    if (key !== filled) select.replaceChildren(...Array.from({ length: n }, (_, at) => make("option", { value: at }, nameOf(state, at))));
    filled = key;
    select.value = String(state[name]);
    back.disabled = state[name] === 0;
    on.disabled = state[name] === n - 1;
  }
  return { name, element, show };
}
