// The edits in words, as chips that can be taken back. They hold in every view.

import { make } from "../dom.js";
import { quoted } from "../draw/token_strip.js";
import { ask } from "../engine.js";

/** Tokens that were swapped in, by id. */
const swapped = new Map();

const isSwap = (edit) => edit.patch === "embedding" && edit.at?.[1] - edit.at?.[0] === 1;

/** An edit in words. */
export function said(edit, { tokens, ids }) {
  const word = (at) => (tokens[at] ? `${quoted(tokens[at])} (${at})` : `position ${at}`);
  const where = (at) => (at ? (at[1] - at[0] === 1 ? ` at ${word(at[0])}` : ` at positions ${at[0]} to ${at[1] - 1}`) : "");
  if (edit.silence) return `${partName(edit.silence)} silenced${where(edit.at)}`;
  if (edit.cut)
    return `${word(edit.cut[0])} hidden from ${edit.cut[1] === null || edit.cut[1] === undefined ? "all later words" : word(edit.cut[1])}${edit.block === null || edit.block === undefined ? "" : ` in block ${edit.block}`}`;
  if (isSwap(edit)) {
    const other = swapped.get(edit.from[edit.at[0]]);
    return `${word(edit.at[0])} swapped${other ? ` for ${quoted(other)}` : ""}`;
  }
  if (edit.patch) return `${partName(edit.patch)}${edit.head === undefined ? "" : ` of head ${edit.head}`} from the second text${where(edit.at)}`;
  if (edit.steer !== undefined) return `block ${edit.steer} steered, strength ${edit.strength}`;
  return `an edit of ${ids.length} tokens`;
}

function partName(site) {
  const [, block, rest] = /^block\.(\d+)\.(.*)$/.exec(site) ?? [];
  if (!block) return site;
  const names = {
    attention: "attention",
    mlp: "MLP",
    residual: "residual stream before",
    "attention.z": "z",
    "mlp.out": "output of the MLP",
    "attention.out": "output of attention",
  };
  const head = /^attention\.head\.(\d+)$/.exec(rest);
  const neuron = /^mlp\.neuron\.(\d+)$/.exec(rest);
  if (head) return `head ${head[1]} of block ${block}`;
  if (neuron) return `neuron ${neuron[1]} of block ${block}`;
  return `${names[rest] ?? rest} of block ${block}`.replace("before of", "before");
}

/** The row of edits; hidden while there are none. */
export function changes(store) {
  const element = make("div", { class: "edits row", id: "flow-edits", role: "group", "aria-label": "What is changed" });
  const show = () => {
    const { edits } = store.state;
    element.hidden = !edits.length;
    if (element.hidden) return;
    const chips = edits.map((edit, at) => {
      const words = said(edit, store.state);
      return make(
        "span",
        { class: "edit-chip" },
        words,
        make(
          "button",
          {
            type: "button",
            class: "quiet",
            "aria-label": `Take back: ${words}`,
            onclick: () => store.set({ edits: edits.filter((_, other) => other !== at) }),
          },
          "×",
        ),
      );
    });
    const all = edits.length > 1 && make("button", { type: "button", class: "quiet", onclick: () => store.set({ edits: [] }) }, "Take all back");
    element.replaceChildren(make("strong", {}, "Changed:"), ...chips, ...(all ? [all] : []));
  };
  store.on((names) => {
    if (!names.has("edits") && !names.has("tokens")) return;
    show();
    nameSwapped(store.state.edits, show);
  });
  show();
  return element;
}

/** Finds the texts of the tokens that were swapped in, then shows them. */
async function nameSwapped(edits, show) {
  const ids = edits.filter(isSwap).map((edit) => edit.from[edit.at[0]]);
  const missing = ids.filter((id) => !swapped.has(id));
  if (!missing.length) return;
  const { tokens } = await ask({ ask: "pieces", ids: missing });
  for (const token of tokens) swapped.set(token.id, token);
  show();
}
