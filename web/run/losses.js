// The curve of a training.

import { room } from "../course/parts.js";
import { plot } from "../course/plot.js";
import { make } from "../dom.js";

export function losses() {
  const holder = make("div", { class: "shows" });
  const element = make("section", { class: "run-part", "data-run": "curve" }, make("h2", {}, "The curve"), holder);
  let seen = "";
  function draw({ log }) {
    const key = `${log.length} ${log.at(-1)?.step}`;
    if (key === seen) return;
    seen = key;
    const of = (name) => log.filter((line) => Number.isFinite(line[name])).map((line) => [line.step, line[name]]);
    const [train, held] = [of("loss"), of("val_loss")];
    if (!train.length) return holder.replaceChildren(make("p", { class: "note" }, "No step has been logged yet."));
    // The first steps are far above the rest.
    const values = train.map(([, y]) => y).sort((a, b) => a - b);
    const to = Math.max(values[Math.floor(0.98 * (values.length - 1))], ...held.map(([, y]) => y)) * 1.08;
    const best = held.reduce((a, b) => (b[1] < a[1] ? b : a), held[0] ?? null);
    holder.replaceChildren(
      plot([{ points: thinned(train), kind: "data" }, { points: held, kind: "weight", dots: held.length < 60, dash: true }], { label: `The loss after step ${train.at(-1)[0]}: ${train.at(-1)[1].toFixed(3)}`, x: "step", y: "loss, nats per token", from: Math.max(0, values[0] * 0.9 - 0.1), to, width: room(760), height: 300, write: (y) => y.toFixed(1) }),
      make("p", { class: "note" }, make("span", { class: "key data" }), "on what is learned", held.length ? make("span", { class: "key weight" }) : "", held.length ? `on what is held out${best ? `; lowest ${best[1].toFixed(3)} at step ${best[0].toLocaleString("en")}` : ""}` : ""),
    );
  }
  return { element, draw };
}

/** At most some hundred points, each the mean of its neighbours. */
function thinned(points, most = 400) {
  const by = Math.ceil(points.length / most);
  if (by < 2) return points;
  const found = [];
  for (let at = 0; at < points.length; at += by) {
    const some = points.slice(at, at + by);
    found.push([some.at(-1)[0], some.reduce((sum, [, y]) => sum + y, 0) / some.length]);
  }
  return found;
}
