// Small things that several views show.

import { make } from "../dom.js";
import { bars } from "../draw/bars.js";
import { format } from "../draw/numbers.js";
import { chip } from "../draw/token_strip.js";

/** A button that changes something (`edits`, as questions take them) and shows what follows. */
export function changing(label, store, open, ...edits) {
  const act = () => {
    const kept = store.state.edits.filter((one) => !edits.some((edit) => JSON.stringify(edit) === JSON.stringify(one)));
    store.set({ edits: [...kept, ...edits] });
    open("change");
  };
  return make("button", { type: "button", class: "changing", "data-focus": label, onclick: act }, label);
}

/** A titled part of a view. */
export const part = (title, ...children) => make("section", { class: "part" }, make("h3", {}, title), ...children.flat().filter(Boolean));

/** A picture and something beside it, where there is room. */
export const beside = (...children) => make("div", { class: "beside" }, ...children.filter(Boolean));

/** Four short lists side by side. */
export const four = (...children) => make("div", { class: "columns four" }, ...children.filter(Boolean));

/** Parts side by side where there is room. */
export const columns = (...children) => make("div", { class: "columns" }, ...children.filter(Boolean));

export const note = (...text) => make("p", { class: "note" }, ...text);

/** Buttons of which one is pressed: `options` are `[value, label]`. */
export function choice({ label, options, chosen, pick, name }) {
  return make(
    "div",
    { class: "choice row", role: "group", "aria-label": label },
    ...options.map(([value, text]) =>
      make(
        "button",
        { type: "button", class: "quiet", "aria-pressed": String(value === chosen), "data-focus": `${name}-${value}`, onclick: () => pick(value) },
        text,
      ),
    ),
  );
}

/** A switch. */
export function toggle({ label, on, pick, name }) {
  const box = make("input", { type: "checkbox", "data-focus": name, onchange: () => pick(box.checked) });
  box.checked = on;
  return make("label", { class: "toggle" }, box, label);
}

/** Tokens that are made more and less probable: `[{ id, text, value }]` each. */
export function promotedParts(promoted, demoted, atOf) {
  const rows = (list) => list.map((one) => ({ label: chip(one), value: one.value, at: atOf?.(one.id) }));
  return [
    part("Raises", bars(rows(promoted), { label: "Tokens whose logit it raises", as: "signed" })),
    part("Lowers", bars(rows(demoted), { label: "Tokens whose logit it lowers", as: "signed" })),
  ];
}

/** A few tokens as chips in a row. */
export const chips = (list) => make("span", { class: "chips" }, ...list.map((one) => chip(one)));

/** A fact as a pair of words and number. */
export const fact = (name, ...value) => make("div", { class: "fact" }, make("dt", {}, name), make("dd", {}, ...value));
export const facts = (...children) => make("dl", { class: "fact-row" }, ...children.filter(Boolean));

/** A weight matrix as a box: it is what was learned, and too large to be drawn as numbers. */
export function weightBox(name, { rows, cols, weights }) {
  return make(
    "div",
    { class: "weight-box" },
    make("strong", {}, name),
    make("span", {}, `${rows} × ${cols}`),
    make("span", { class: "note" }, `${(weights ?? rows * cols).toLocaleString("en")} weights`),
  );
}

export const arrow = (text = "") => make("div", { class: "arrow", "aria-hidden": "true" }, make("span", {}, text), "→");

/** The positions that a picture has room for: at most `most`, the first one always among them. Says what is left out. */
export function window(length, position, most) {
  if (length <= most) return { from: 0, positions: Array.from({ length }, (_, at) => at), left: "" };
  const from = Math.max(1, Math.min(length - most + 1, position - most + 2));
  const positions = [0, ...Array.from({ length: most - 1 }, (_, at) => from + at)];
  return { from, positions, left: `Shown are position 0 and positions ${from} to ${from + most - 2} of ${length}.` };
}

/** The places of the largest numbers by magnitude, at most `most`, in their order; and what to say of those left out. */
export function strongest(numbers, most) {
  if (numbers.length <= most) return { positions: Array.from(numbers, (_, at) => at), left: "" };
  const order = Array.from(numbers, (_, at) => at).sort((a, b) => Math.abs(numbers[b]) - Math.abs(numbers[a]));
  return { positions: order.slice(0, most).sort((a, b) => a - b), left: `Shown are the ${most} strongest of ${numbers.length} words.` };
}

/** A table of rows for those who want numbers: `head` are texts, cells texts or elements. */
export function table({ caption, head, rows }) {
  return make(
    "table",
    { class: "numbers" },
    make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell, at) => make(at ? "td" : "th", at ? {} : { scope: "row" }, cell))))),
  );
}

export const says = (value) => format(value, 3);
