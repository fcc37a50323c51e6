// The view "Why this word?": hides every word in turn and every head, and says what the chosen word depends on.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { percent } from "../draw/numbers.js";
import { chip, quoted, shownText, tokenStrip } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { columns, note, part, window } from "./parts.js";
import { defineView } from "./view.js";

const WORDS = 60;

export const view = defineView({
  id: "why",
  title: "Why this word?",
  station: "Why?",
  about: "Every word is hidden in turn, then the heads: what makes the next word less probable when it is hidden, it depended on.",
  uses: ["position"],
  keys: ["token"],
  draw,
});

/** Answers by question: a sweep is long, so it is kept. */
const answers = new Map();

async function draw({ state, store, signal, again, open }) {
  const question = { ask: "why", ids: store.upTo(), top: 5, ...(state.token !== null && { token: state.token }) };
  const key = JSON.stringify(question);
  const next = await ask(store.question("next", { top: 6 }));
  const choices = tokenChoice({ next, state, store });
  if (!answers.has(key)) return [choices, sweep({ question, key, signal, again })];
  const found = answers.get(key);
  const before = Math.exp(found.logprob);
  return [
    choices,
    state.edits.length > 0 && note("This asks about the text without the changes above."),
    make("p", { class: "why-sentence", id: "why-sentence", role: "status" }, found.sentence),
    columns(
      part("Without each word", wordsPart({ found, before, state, store, open })),
      part("Without each head", headsPart({ found, before, store, open })),
    ),
    found.instead &&
      found.words.length > 0 &&
      part(`What is said without ${quoted({ text: found.words[0].text })}`, make("p", { class: "goes-on" }, `…${found.instead.text}`)),
    note("Hiding shows what is needed for this word, here; several words can stand in for each other, and then none of them seems to matter alone."),
  ];
}

function tokenChoice({ next, state, store }) {
  const { ids, tokens, position } = state;
  const about = state.token ?? next.top[0].id;
  const said = ids[position + 1];
  const options = [...next.top];
  if (said !== undefined && !options.some(({ id }) => id === said)) options.unshift(tokens[position + 1]);
  if (state.token !== null && !options.some(({ id }) => id === state.token)) options.push({ id: state.token, text: `id ${state.token}` });
  return make(
    "div",
    { class: "about-word row", role: "group", "aria-label": "The word that is asked about" },
    make("span", { class: "note" }, "Why"),
    ...options.map((one) =>
      make(
        "button",
        {
          type: "button",
          class: "chip",
          "data-focus": `why-${one.id}`,
          "aria-pressed": String(one.id === about),
          onclick: () => store.set({ token: one.id === next.top[0].id ? null : one.id }),
        },
        shownText(one),
        one.logprob !== undefined && make("span", { class: "note" }, ` ${percent(Math.exp(one.logprob))}`),
      ),
    ),
    make("span", { class: "note" }, `after ${quoted(tokens[position])}?`),
  );
}

/** Runs the sweep with a bar of its progress; draws the view anew at its end. */
function sweep({ question, key, signal, again }) {
  const bar = make("progress", { max: "1", value: "0", "aria-label": "Progress of the sweep" });
  const remark = note("Hiding every word in turn…");
  const onFrame = (frame) => {
    if (!frame?.of) return;
    bar.max = frame.of;
    bar.value = frame.done;
    remark.textContent = `Pass ${frame.done} of ${frame.of}…`;
  };
  ask(question, { signal, onFrame }).then(
    (found) => {
      answers.set(key, found);
      if (answers.size > 50) answers.delete(answers.keys().next().value);
      if (!signal.aborted) again();
    },
    (error) => !signal.aborted && (remark.textContent = error.message),
  );
  return make("div", { class: "sweep" }, bar, remark);
}

function wordsPart({ found, before, state, store, open }) {
  const { tokens, position } = state;
  const lost = new Map();
  for (const word of found.words) for (let at = word.from; at < word.to; at++) lost.set(at, Math.max(0, found.logprob - word.without_logprob));
  const most = Math.max(1e-6, ...lost.values());
  const { from, left } = window(position + 1, position, WORDS);
  const strip = tokenStrip({
    tokens: tokens.slice(from, position + 1),
    from,
    label: "Words; the fuller, the more the next word depends on them",
    shade: (at) => (lost.get(at) ?? 0) / most,
    pick: () => {},
  });
  const cut = (word) => {
    const edits = Array.from({ length: word.to - word.from }, (_, i) => ({ cut: [word.from + i, null], block: null }));
    store.set({ edits });
    open("change");
  };
  const rows = found.words
    .slice(0, 10)
    .map((word) => ({
      label: chip({ text: word.text }),
      value: Math.exp(word.without_logprob),
      note: `without it: ${shownText(word.without_top)} ${percent(Math.exp(word.without_top.logprob))}`,
      pick: () => cut(word),
    }));
  return [
    strip,
    left && note(left),
    note("Probability of the word while this one is hidden. With all of them: ", percent(before), ". A click hides it and shows what follows."),
    bars(rows, { label: "Probability without each word", full: Math.max(before, ...rows.map(({ value }) => value)) }),
  ];
}

function headsPart({ found, before, store, open }) {
  const rows = found.heads.map(({ block, head, without_logprob }) => ({
    label: `block ${block} head ${head}`,
    value: Math.exp(without_logprob),
    pick: () => (store.set({ block, head }), open("head")),
  }));
  return [
    note("Probability while one head cannot see the words it depends on. A click opens the head."),
    bars(rows, {
      label: "Probability without each head",
      full: Math.max(before, ...rows.map(({ value }) => value)),
      none: "No single head changes it.",
    }),
  ];
}
