// The view "Change": silence, cut, swap, patch; and what the model says with and without that.

import { announce, make } from "../dom.js";
import { percent, values } from "../draw/numbers.js";
import { chip, quoted, shownText, tokenStrip } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { columns, note, part } from "./parts.js";
import { defineView } from "./view.js";

const TOKENS = 16;
const ROWS = 8;

export const view = defineView({
  id: "change",
  title: "Change something",
  station: "Change",
  about: "Whether a part matters shows when it is taken away. Nothing is learned anew: the same weights run again, with the change.",
  uses: ["position", "block", "head"],
  keys: ["second", "secondIds"],
  draw,
});

async function draw({ state, store }) {
  const [effect, both] = await Promise.all([effectPart({ state, store }), bothPart({ state, store })]);
  return [effect, columns(silencePart({ state, store }), cutPart({ state, store }), swapPart({ state, store })), patchPart({ state, store }), both];
}

function add(store, edit) {
  const key = JSON.stringify(edit);
  if (!store.state.edits.some((one) => JSON.stringify(one) === key)) store.set({ edits: [...store.state.edits, edit] });
}

const button = (label, focus, onclick, more = {}) => make("button", { type: "button", "data-focus": focus, onclick, ...more }, label);

function silencePart({ state, store }) {
  const { block, head } = state;
  const silence = (site) => () => add(store, { silence: site });
  return part(
    "Silence",
    note("What it adds is left out, at every word."),
    make(
      "div",
      { class: "stack" },
      button(`Head ${head} of block ${block}`, "silence-head", silence(`block.${block}.attention.head.${head}`)),
      button(`All attention of block ${block}`, "silence-attention", silence(`block.${block}.attention`)),
      button(`MLP of block ${block}`, "silence-mlp", silence(`block.${block}.mlp`)),
    ),
  );
}

let keyChosen = null;

function cutPart({ state, store }) {
  const { tokens, position, block } = state;
  const options = (from, to) => tokens.slice(from, to).map((token, at) => make("option", { value: from + at }, `${from + at} ${shownText(token)}`));
  if (position === 0) return part("Cut", note("The first word sees only itself. Choose a later position."));
  const key = make("select", { id: "cut-key" }, ...options(0, position));
  const query = make("select", { id: "cut-query" }, make("option", { value: "all" }, "all later words"), ...options(1, position + 1));
  const where = make(
    "select",
    { id: "cut-block" },
    make("option", { value: "all" }, "in every block"),
    make("option", { value: block }, `in block ${block} only`),
  );
  key.value = String(Math.min(keyChosen ?? state.key ?? position - 1, position - 1));
  key.addEventListener("change", () => (keyChosen = Number(key.value)));
  const cut = () =>
    add(store, {
      cut: [Number(key.value), query.value === "all" ? null : Number(query.value)],
      block: where.value === "all" ? null : Number(where.value),
    });
  const field = (label, of) => make("div", { class: "field-row" }, make("label", { for: of.id }, label), of);
  return part(
    "Cut",
    note("A word is hidden: no head can look at it."),
    make("div", { class: "stack" }, field("Hide", key), field("from", query), field("where", where), button("Cut it", "cut", cut)),
  );
}

function swapPart({ state, store }) {
  const { tokens, position, ids } = state;
  const input = make("input", { id: "swap-word", autocomplete: "off", spellcheck: "false" });
  const remark = make("p", { class: "note", role: "status" });
  const swap = async () => {
    const space = tokens[position].text.startsWith(" ") && !input.value.startsWith(" ");
    const word = `${space ? " " : ""}${input.value}`;
    if (!word.trim()) return;
    const found = await ask({ ask: "tokens", text: word, start: false });
    if (found.ids.length === 1)
      return add(store, { patch: "embedding", from: ids.map((id, at) => (at === position ? found.ids[0] : id)), at: [position, position + 1] });
    remark.replaceChildren(
      "This word is more than one token (",
      ...found.tokens.map((token) => chip(token)),
      "), so positions would move. ",
      make(
        "button",
        { type: "button", class: "link", onclick: () => store.set({ second: state.text.replace(tokens[position].text, word) }) },
        "Put it into the second text below",
      ),
      " to compare both.",
    );
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && swap());
  return part(
    "Swap",
    note("Another word stands in its place, from the embedding on."),
    make(
      "div",
      { class: "stack" },
      make("div", { class: "field-row" }, make("label", { for: "swap-word" }, `${quoted(tokens[position])} becomes`), input),
      button("Swap it", "swap", swap),
      remark,
    ),
  );
}

let patchedWhere = "differ";

function patchPart({ state, store }) {
  const { second, secondTokens, secondIds, tokens, ids, position, block, head } = state;
  const area = make("textarea", { id: "second-text", rows: "1", spellcheck: "false", "data-focus": "second-text" });
  area.value = second;
  area.addEventListener("change", () => store.set({ second: area.value }));
  const same = secondIds.length === ids.length;
  const differ = same ? ids.flatMap((id, i) => (id === secondIds[i] ? [] : [i])) : [];
  const places = { chosen: [position, position + 1], differ: differ.length ? [differ[0], differ.at(-1) + 1] : null, all: [0, ids.length] };
  const where = make(
    "select",
    { id: "patch-where", "data-focus": "patch-where" },
    make("option", { value: "chosen" }, `at ${quoted(tokens[position])} (${position})`),
    places.differ && make("option", { value: "differ" }, "where the texts differ"),
    make("option", { value: "all" }, "at every word"),
  );
  where.value = places[patchedWhere] ? patchedWhere : "chosen";
  where.addEventListener("change", () => (patchedWhere = where.value));
  const patch =
    (site, more = {}) =>
    () =>
      add(store, { patch: site, from: secondIds, at: places[where.value], ...more });
  const strip = (list, label) =>
    tokenStrip({
      tokens: list,
      chosen: same ? position : null,
      label,
      extra: (i) => (differ.includes(i) ? "marked" : ""),
      pick: (i) => i < ids.length && store.set({ position: i }),
    });
  return part(
    "Patch from a second text",
    note("A number of the first text is replaced by that of a second one, at the same place. If the answer follows, the difference was there."),
    make("div", { class: "field-row" }, make("label", { for: "second-text" }, "Second text"), area),
    second && make("div", { class: "pair" }, strip(tokens, "First text"), strip(secondTokens, "Second text")),
    second &&
      !same &&
      note(`The second text has ${secondIds.length} tokens, the first ${ids.length}. A patch needs as many; choose words of equally many tokens.`),
    same && second && make("div", { class: "field-row" }, make("label", { for: "patch-where" }, "Take over"), where),
    same &&
      second &&
      make(
        "div",
        { class: "row" },
        button(`Residual stream before block ${block}`, "patch-residual", patch(`block.${block}.residual`)),
        button(`Head ${head} of block ${block}`, "patch-head", patch(`block.${block}.attention.z`, { head })),
        button(`MLP of block ${block}`, "patch-mlp", patch(`block.${block}.mlp.out`)),
      ),
  );
}

/** What both texts say, beside each other. */
async function bothPart({ state, store }) {
  if (!state.second || !state.secondIds.length) return null;
  const ask2 = { tokens: TOKENS, top: ROWS, edits: [] };
  const [first, second] = await Promise.all([ask({ ask: "if", ids: store.upTo(), ...ask2 }), ask({ ask: "if", ids: state.secondIds, ...ask2 })]);
  const both = { before: first.before, after: second.before };
  return part(
    "Both texts as they are",
    beforeAndAfter(both, ["First", "Second"]),
    make("div", { class: "texts" }, ...textPair(both, ["First text", "Second text"])),
  );
}

async function effectPart({ state, store }) {
  const question = store.question("if", { tokens: TOKENS, top: ROWS });
  if (!question.edits.length)
    return part("What follows", note("Nothing is changed yet. Choose below what to change; the text as it is goes on:"), await before(store));
  const found = await ask(question);
  const from = found.from_block;
  tell(question, found);
  return part(
    "What follows, before and after",
    beforeAndAfter(found),
    make("div", { class: "texts" }, ...textPair(found)),
    note(
      from === null || from === undefined
        ? "Computed whole."
        : from === 0
          ? "Computed again from the first block on."
          : `Computed again from block ${from} to the end; what comes before is the same. `,
      state.position < state.ids.length - 1 ? `At position ${state.position}.` : "",
    ),
  );
}

let told = "";

/** Says what a change does, once. */
function tell(question, { before, after }) {
  const key = JSON.stringify(question);
  if (key === told) return;
  told = key;
  const first = ({ top }) => `${quoted(top[0])} with ${percent(Math.exp(top[0].logprob))}`;
  announce(`Before the change ${first(before)} comes next, after it ${first(after)}.`);
}

async function before(store) {
  const found = await ask(store.question("if", { tokens: TOKENS, top: ROWS }));
  return make(
    "p",
    { class: "continued" },
    make("span", { class: "chips" }, ...found.before.top.slice(0, 5).map((one) => chip(one))),
    make("span", { class: "goes-on" }, `…${found.before.text}`),
  );
}

/** The most probable tokens of both, each with two bars. */
function beforeAndAfter({ before, after }, names = ["Before", "After"]) {
  const all = [values(before.logprobs), values(after.logprobs)].map((list) => (id) => Math.exp(list[id]));
  const ids = new Map([...before.top, ...after.top].map((one) => [one.id, one]));
  const order = [...ids.values()].sort((a, b) => Math.max(all[0](b.id), all[1](b.id)) - Math.max(all[0](a.id), all[1](a.id))).slice(0, ROWS + 2);
  const full = Math.max(...order.flatMap(({ id }) => [all[0](id), all[1](id)]));
  const bar = (kind, p) => {
    const made = make("span", { class: `fill ${kind}` });
    made.style.width = `${(100 * p) / full}%`;
    return made;
  };
  const rows = order.map((one) => {
    const [p, q] = [all[0](one.id), all[1](one.id)];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, chip(one)),
      make("td", { class: "two-bars", "aria-hidden": "true" }, bar("raw", p), bar("now", q)),
      make("td", {}, percent(p)),
      make("td", {}, percent(q)),
      make("td", { class: "change" }, ratio(p, q)),
    );
  });
  const head = ["Token", "", ...names, ""].map((text) => (text ? make("th", { scope: "col" }, text) : make("td", {})));
  return make(
    "table",
    { class: "numbers next-list effect", "data-effect": names.join("-").toLowerCase() },
    make("caption", { class: "hidden" }, `The most probable next tokens: ${names.join(" and ").toLowerCase()}`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

function ratio(p, q) {
  const times = q / p;
  if (times > 0.95 && times < 1.05) return "about the same";
  return times > 1
    ? `▲ ×${times >= 10 ? Math.round(times).toLocaleString("en") : times.toFixed(1)}`
    : `▼ ÷${1 / times >= 10 ? Math.round(1 / times).toLocaleString("en") : (1 / times).toFixed(1)}`;
}

function textPair({ before, after }, names = ["Before", "After"]) {
  let same = 0;
  while (same < before.text.length && before.text[same] === after.text[same]) same += 1;
  const shown = (name, text) =>
    make("div", {}, make("h4", {}, name), make("p", { class: "goes-on" }, `…${text.slice(0, same)}`, make("mark", {}, text.slice(same))));
  return [shown(names[0], before.text), shown(names[1], after.text)];
}
