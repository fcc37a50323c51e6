// Heads that form: how much of each head's attention goes to a kind of place, by step, on random tokens that repeat.

import { make } from "../dom.js";
import { curve } from "../draw/curve.js";
import { choose, room } from "../course/parts.js";
import { plot } from "../course/plot.js";

const KINDS = [
  ["induction", "what followed the same token"],
  ["previous", "the token just before"],
  ["duplicate", "the same token"],
  ["first", "the first token"],
];
const NAMED = 4;

export function heads() {
  let kind = "induction";
  let run = null;
  const holder = make("div", { class: "shows" });
  const pick = choose("Attention to", KINDS, kind, (value) => {
    kind = value;
    paint();
  });
  const element = make("section", { class: "run-part", "data-run": "heads" }, make("h2", {}, "Heads that form"), pick, holder);
  let seen = "";

  function draw(of) {
    const key = `${of.looks.length} ${of.looks.at(-1)?.step}`;
    if (key === seen) return;
    seen = key;
    run = of;
    paint();
  }
  function paint() {
    const looks = (run?.looks ?? []).filter(({ heads }) => heads?.length);
    pick.hidden = !looks.length;
    if (!looks.length) return holder.replaceChildren(make("p", { class: "note" }, "Nothing was measured. Train with --look, and every checkpoint is."));
    const all = looks[0].heads.flatMap((block, b) => block.map((_, h) => ({ name: `${b}.${h}`, points: looks.map(({ step, heads }) => [step, heads[b]?.[h]?.[kind] ?? 0]) })));
    all.sort((a, b) => b.points.at(-1)[1] - a.points.at(-1)[1]);
    const series = [...all.slice(NAMED).reverse().map(({ points }) => ({ points, kind: "faint" })), ...all.slice(0, NAMED).reverse().map(({ points }) => ({ points, kind: "data", dots: points.length < 40 }))];
    const best = all.slice(0, NAMED).map(({ name, points }) => `${name} (${(100 * points.at(-1)[1]).toFixed(0)} %)`);
    holder.replaceChildren(
      plot(series, { label: `The share of each head, by step; at the end most: ${best.join(", ")}`, x: "step", y: "share of attention", from: 0, to: 1, width: room(760), height: 260, write: (y) => `${Math.round(100 * y)} %` }),
      make("p", { class: "note" }, `Highlighted, at the last checkpoint: heads ${best.join(", ")}. Block and head count from 0.`),
      ...again(looks),
      ...lens(looks),
    );
  }
  return { element, draw };
}

/** The loss on random tokens, and on their repetition: what induction heads are for. */
function again(looks) {
  const of = (name) => looks.filter((look) => Number.isFinite(look[name])).map((look) => [look.step, look[name]]);
  if (!of("again").length) return [];
  return [
    make("h3", {}, "Random tokens, told twice"),
    plot([{ points: of("first"), kind: "faint", dash: true }, { points: of("again"), kind: "data", dots: looks.length < 40 }], { label: "The loss on random tokens and on their repetition", x: "step", y: "loss, nats", from: 0, width: room(760), height: 200, write: (y) => y.toFixed(1) }),
    make("p", { class: "note" }, make("span", { class: "key faint" }), "the first time: cannot be predicted", make("span", { class: "key data" }), "the second time: can be, by looking back"),
  ];
}

/** What each block contributes: the loss if the model ended there. */
function lens(looks) {
  const last = looks.at(-1);
  if (!last.lens?.length) return [];
  const names = last.lens.map((_, at) => (at ? String(at - 1) : "start"));
  return [make("h3", {}, "If the model ended earlier"), curve({ series: [{ name: `step ${last.step}`, values: last.lens, kind: "data" }], label: "The loss of the lens after each block", names, x: "after block", y: "loss, nats", width: room(760) })];
}
