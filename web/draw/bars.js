// Numbers as bars, one below the other: probabilities, lengths, shares, and what adds to a number or takes from it.

import { make } from "../dom.js";
import { format, most, percent, signed } from "./numbers.js";
import { number } from "./number.js";

/**
 * Rows `{ label (text or element), value, at?, text?, note?, chosen?, pick?() }` as a list of bars.
 * Options: `label` names the list; `as`: "percent" (bars from the left, 1 is full unless `full` is given), "size" (from
 * the left, the largest is full), "signed" (from a middle line: to the right above zero, to the left and hatched below);
 * `kind`: "data" or "weight"; `full`: the value of a full bar; `digits`.
 */
export function bars(rows, { label, as = "percent", kind = "data", full, digits, none = "nothing" } = {}) {
  if (!rows.length) return make("p", { class: "note" }, none);
  const largest = full ?? (as === "percent" ? Math.max(1e-9, ...rows.map(({ value }) => value)) : most(rows.map(({ value }) => value)));
  // Where all have the same sign the line stands at the left, and the sign is seen in the bar and the number.
  const both = as === "signed" && rows.some(({ value }) => value > 0) && rows.some(({ value }) => value < 0);
  const noted = rows.some(({ note }) => note);
  return make(
    "ul",
    { class: `bars ${as} ${kind}${both ? " both" : ""}${noted ? " noted" : ""}`, "aria-label": label },
    ...rows.map((row) => bar(row, { as, kind, largest, digits, both })),
  );
}

const writes = { percent, size: format, signed };

function bar(row, { as, kind, largest, digits, both }) {
  const { value, at, note, chosen, pick } = row;
  const text = row.text ?? writes[as](value, digits);
  const name = pick
    ? make(
        "button",
        { type: "button", class: "bar-name", onclick: pick, "aria-pressed": chosen === undefined ? null : String(Boolean(chosen)) },
        row.label,
      )
    : make("span", { class: "bar-name" }, row.label);
  const fill = make("span", { class: `fill${value < 0 ? " negative" : ""}` });
  const share = Math.min(1, Math.abs(value) / largest);
  fill.style.width = `${(both ? 50 : 100) * share}%`;
  if (both) fill.style[value < 0 ? "right" : "left"] = "50%";
  return make(
    "li",
    { class: `bar-row${chosen ? " chosen" : ""}` },
    name,
    make("span", { class: "track", "aria-hidden": "true" }, fill),
    number(value, at, { text, kind }),
    note && make("span", { class: "note" }, note),
  );
}

/** The token lists of answers, `[{ id, text, logprob }]`, as bars of probability. `atOf(id)` makes numbers that can be traced. */
export function probabilityBars(top, { label = "The most probable next tokens", chip, atOf, pick, chosen, full } = {}) {
  const rows = top.map((one) => ({
    label: chip(one),
    value: Math.exp(one.logprob),
    at: atOf?.(one.id),
    pick: pick && (() => pick(one)),
    chosen: chosen === undefined ? undefined : one.id === chosen,
  }));
  return bars(rows, { label, full });
}
