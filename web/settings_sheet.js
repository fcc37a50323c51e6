// The sheet on which the reader says how answers are drawn.

import { app, changed } from "./app.js";
import { ask, make } from "./dom.js";
import { keep } from "./keeping.js";
import { FIELDS, advised, resolved } from "./settings.js";

const EXTRA = [
  { name: "max_tokens", label: "At most tokens", min: 1, max: 1000000, step: 1, whole: true, help: "where an answer ends at the latest" },
  { name: "seed", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true, empty: "random", help: "the same seed gives the same answer; empty draws one for each answer" },
];

/** One number with its label, and what it does. */
function row(field, value, usual) {
  const id = `set-${field.name}`;
  const input = make("input", {
    id,
    type: "number",
    inputmode: field.whole ? "numeric" : "decimal",
    min: field.min,
    max: field.max,
    step: field.whole ? 1 : "any",
    placeholder: field.empty ?? usual,
    "aria-describedby": `${id}-help`,
  });
  input.value = value ?? "";
  const advice = usual === null || usual === undefined || usual === field.neutral ? "" : `; advised: ${usual}`;
  return make("div", { class: "field" }, make("label", { for: id }, field.label), input, make("p", { class: "note", id: `${id}-help` }, `${field.help}${advice}`));
}

function read(usual) {
  const own = {};
  for (const { name, min, max, whole } of [...FIELDS, ...EXTRA]) {
    const input = document.getElementById(`set-${name}`);
    if (input.value === "") continue;
    const number = Math.max(min, Math.min(max, Number(input.value)));
    const value = whole ? Math.round(number) : number;
    if (Number.isFinite(value) && value !== usual[name]) own[name] = value;
  }
  // Line ends can be written as \n.
  const stop = document.getElementById("set-stop").value.split("\n").filter((line) => line !== "");
  if (stop.length) own.stop = stop.slice(0, 4).map((line) => line.replaceAll("\\n", "\n"));
  return own;
}

export async function openSettings() {
  const usual = advised(app.model);
  const now = resolved(app.model, app.talk.settings);
  const stop = make("textarea", { id: "set-stop", rows: "2", "aria-describedby": "set-stop-help" });
  stop.value = now.stop.map((text) => text.replaceAll("\n", "\\n")).join("\n");
  const body = make(
    "div",
    {},
    make("p", { class: "note" }, "Applied in this order to the probabilities of every token. What is left empty is as the model advises."),
    make("div", { class: "fields" }, ...FIELDS.map((field) => row(field, now[field.name], usual[field.name])), ...EXTRA.map((field) => row(field, now[field.name], usual[field.name]))),
    make("div", { class: "field" }, make("label", { for: "set-stop" }, "Stop texts"), stop, make("p", { class: "note", id: "set-stop-help" }, "one on each line, at most four; \\n stands for a line end")),
  );
  const buttons = [
    { label: "As the model advises", value: "advised" },
    { label: "Cancel", value: "" },
    { label: "Keep", value: "keep", primary: true },
  ];
  let own = {};
  // The fields are read before the dialog leaves the page.
  body.addEventListener("input", () => (own = read(usual)));
  own = { ...app.talk.settings };
  const answer = await ask("How answers are drawn", body, buttons);
  if (!answer) return;
  app.talk.settings = answer === "advised" ? {} : own;
  keep(app.talk);
  changed("settings");
}
