// What chapters are made of: a screen with one idea, a picture that is computed, a guess before it.

import { later, make } from "../dom.js";
import { strip } from "../draw/vector.js";

/** A screen: one idea with a heading, the picture first. */
export const screen = (title, ...children) => make("section", { class: "screen" }, make("h3", {}, title), ...children.filter(Boolean));

export const say = (...text) => make("p", { class: "say" }, ...text);
export const aside = (...text) => make("p", { class: "note" }, ...text);
export const strong = (text) => make("strong", {}, text);
export const code = (text) => make("code", {}, text);

/**
 * A picture that has to be asked for: `draw` gives its elements, or a promise of them. What it shows is replaced whole
 * when `figure.again()` is called; answers that come too late are dropped.
 */
export function figure(caption, draw, { name, tall = 4 } = {}) {
  const holder = make("div", { class: "shows" });
  const element = make("figure", { class: "figure", "data-figure": name ?? null }, holder, caption && make("figcaption", {}, caption));
  let turn = 0;
  element.again = async () => {
    const mine = ++turn;
    if (!holder.childElementCount) holder.style.minHeight = `${tall}rem`;
    holder.setAttribute("aria-busy", "true");
    // A hint only where there is something to wait for.
    const patience = setTimeout(() => mine === turn && !holder.childElementCount && holder.replaceChildren(make("p", { class: "note" }, "Computing…")), 200);
    try {
      const drawn = await draw();
      if (mine === turn) holder.replaceChildren(...[drawn].flat().filter(Boolean));
    } catch (error) {
      if (mine === turn && error.name !== "AbortError") holder.replaceChildren(make("p", { class: "trouble" }, error.message));
    }
    clearTimeout(patience);
    if (mine === turn) {
      holder.removeAttribute("aria-busy");
      holder.style.minHeight = "";
    }
  };
  element.again();
  return element;
}

/** How wide a picture may be drawn: its letters keep their size on a phone. */
export const room = (most = 640) => Math.min(most, document.querySelector("#course .chapter, #run .run-page")?.clientWidth || most);

/** A vector as a strip, with its name above. */
export function stripRow(name, numbers, { kind = "data", height = 34 } = {}) {
  return make("div", { class: "strip-row" }, make("span", { class: "note" }, name), strip(numbers, { kind, height, width: room(736), label: `${name}: ${numbers.length} numbers` }));
}

/** A table with a caption for those who cannot see pictures, or where numbers say more. */
export function table(caption, head, rows, { numeric = [] } = {}) {
  const cell = (name, at) => (content) => make(name, { class: numeric.includes(at) ? "figures" : null, scope: name === "th" ? "col" : null }, content);
  return make("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": caption }, make("table", {}, make("caption", { class: "hidden" }, caption), make("thead", {}, make("tr", {}, ...head.map((text, at) => cell("th", at)(text)))), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((content, at) => cell("td", at)(content)))))));
}

/** A slider with its value beside it. `change(value)` is called while it moves. */
export function slider({ label, from, to, step, value, write = String, change, id }) {
  const output = make("output", {}, write(value));
  const input = make("input", { type: "range", min: from, max: to, step, "aria-label": label, id: id ?? null, "aria-valuetext": write(value) });
  input.value = value;
  input.addEventListener("input", () => {
    output.textContent = write(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
    change?.(Number(input.value));
  });
  const element = make("div", { class: "slider" }, make("span", { class: "slider-label", "aria-hidden": "true" }, label), input, output);
  element.value = () => Number(input.value);
  return element;
}

/** A choice of one among a few, as a row of buttons. */
export function choose(label, options, chosen, change) {
  const buttons = options.map(([value, text]) => make("button", { type: "button", class: "pill", "aria-pressed": String(value === chosen), "data-value": value, onclick: () => pick(value) }, text));
  function pick(value) {
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === String(value))));
    change(value);
  }
  return make("div", { class: "choose", role: "group", "aria-label": label }, make("span", { class: "note", "aria-hidden": "true" }, label), ...buttons);
}

/** A part of a chapter that is made anew when the reader changes what it is about. */
export function live(made) {
  const element = make("div", { class: "live" });
  element.again = () => element.replaceChildren(...[made()].flat().filter(Boolean));
  element.again();
  return element;
}

/** A line that the reader may write, for one chapter alone; kept in the link. */
export function line(lesson, { name, label, value, rows, change }) {
  const input = make(rows ? "textarea" : "input", { ...(rows ? { rows } : { type: "text" }), "aria-label": label, "data-field": name, spellcheck: "false", autocomplete: "off" });
  input.value = value;
  input.addEventListener("input", later(400, () => {
    lesson.setField(name, input.value);
    change(input.value);
  }));
  return make("label", { class: "field-line" }, make("span", { class: "note" }, label), input);
}

/** What needs words, or a remark that this model can be given none. */
export const withWords = (lesson, made) => (lesson.hasWords ? made() : [aside("This model has no vocabulary. What needs words cannot be shown with it.")]);
