// Lines over steps or blocks. Each line has its name at its end and its own mark, so that colour is not the only sign.

import { format } from "./numbers.js";
import { picture, round, svg, textWidth } from "./svg.js";

const TOP = 14;
const BOTTOM = 34;

/**
 * `series`: `[{ name, values, xs?, kind: "data" | "weight" | "soft", dashed? }]`; `null` in values leaves a gap.
 * Options: `label`, `width`, `height`, `low`, `high` (of the axis), `x` and `y` (names of the axes), `names` (texts below
 * the axis, by index), `chosen` (an index) and `pick(index)`, `write(value)`.
 */
export function curve({
  series,
  label,
  width = 640,
  height = 220,
  low,
  high,
  x = "",
  y = "",
  names,
  chosen = null,
  pick,
  write = (value) => format(value, 2),
}) {
  const all = series.flatMap(({ values }) => [...values]).filter((value) => value !== null && Number.isFinite(value));
  const floor = low ?? Math.min(0, ...all);
  const roof = high ?? Math.max(floor + 1e-9, ...all);
  const xsOf = (one) => one.xs ?? Array.from(one.values, (_, at) => at);
  const reach = Math.max(1, ...series.map((one) => xsOf(one).at(-1) ?? 1));
  const start = Math.min(...series.map((one) => xsOf(one)[0] ?? 0));
  const left = 12 + Math.max(textWidth(write(roof), 12), textWidth(write(floor), 12));
  const right = 10 + Math.max(...series.map(({ name }) => textWidth(name ?? "", 12)), 12);
  const px = (at) => round(left + ((width - left - right) * (at - start)) / Math.max(1e-9, reach - start));
  const py = (value) => round(TOP + ((height - TOP - BOTTOM) * (roof - value)) / (roof - floor));
  const made = picture(width, height, label);
  for (const value of [floor, (floor + roof) / 2, roof]) {
    made.append(
      svg("path", { d: `M${round(left)} ${py(value)}H${round(width - right)}`, class: "grid-line" }),
      svg("text", { x: round(left - 6), y: py(value) + 4, "text-anchor": "end", class: "label" }, write(value)),
    );
  }
  if (names) made.append(...stepNames(names, px, height, chosen));
  if (x) made.append(svg("text", { x: round((left + width - right) / 2), y: height - 3, "text-anchor": "middle", class: "label" }, x));
  if (y) made.append(svg("text", { x: 0, y: 9, class: "label" }, y));
  const ends = apart(series.map((one) => py(one.values.at(-1) ?? floor)));
  series.forEach((one, at) => made.append(...line(one, xsOf(one), px, py, ends[at], width - right)));
  if (chosen !== null) made.append(svg("path", { d: `M${px(chosen)} ${TOP}V${height - BOTTOM}`, class: "marker-line" }));
  if (pick) {
    made.classList.add("choosing");
    made.addEventListener("click", (event) => {
      const box = made.getBoundingClientRect();
      const at = (((event.clientX - box.left) * width) / box.width - left) / (width - left - right);
      pick(Math.max(0, Math.min(reach, Math.round(start + at * (reach - start)))));
    });
  }
  return made;
}

function line({ name, values, kind = "data", dashed }, xs, px, py, end, edge) {
  let d = "";
  let pen = "M";
  Array.from(values, (value, at) => {
    if (value === null || !Number.isFinite(value)) pen = "M";
    else {
      d += `${pen}${px(xs[at])} ${py(value)}`;
      pen = "L";
    }
  });
  const marks =
    values.length > 40
      ? []
      : Array.from(values, (value, at) => (value === null || !Number.isFinite(value) ? null : mark(px(xs[at]), py(value), kind))).filter(Boolean);
  return [
    svg("path", { d, class: `line ${kind}`, "stroke-dasharray": dashed ? "4 4" : null }),
    ...marks,
    svg("text", { x: round(edge + 7), y: end + 4, class: `label ${kind}` }, name ?? ""),
  ];
}

const mark = (x, y, kind) =>
  kind === "weight" ? svg("rect", { x: x - 3, y: y - 3, width: 6, height: 6, class: kind }) : svg("circle", { cx: x, cy: y, r: 3, class: kind });

function stepNames(names, px, height, chosen) {
  const skip = Math.ceil(names.length / 24);
  return names
    .map((name, at) =>
      at % skip && at !== chosen
        ? null
        : svg("text", { x: px(at), y: height - 19, "text-anchor": "middle", class: `label${at === chosen ? " chosen" : ""}` }, name),
    )
    .filter(Boolean);
}

/** Labels that would lie on each other move apart. */
function apart(places) {
  const order = places.map((_, at) => at).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  for (let i = 1; i < order.length; i++) moved[order[i]] = Math.max(moved[order[i]], moved[order[i - 1]] + 13);
  return moved;
}
