// Curves over an axis, in SVG: losses over steps, times over tokens.

import { format } from "../draw/numbers.js";
import { picture, round, svg } from "../draw/svg.js";

const SIDE = { left: 56, right: 14, top: 12, bottom: 38 };

/**
 * Draws `series`: `[{ name, points: [[x, y], …], kind: "data" | "weight" | "faint", dots, dash, fill }]`.
 * Options: `label`, `x` and `y` (names of the axes), `width`, `height`, `from` and `to` (of y), `xTo`, `marks` ([[x, text]]).
 */
export function plot(series, { label, x: xName, y: yName, width = 640, height = 260, from, to, xFrom, xTo, marks = [], write = format } = {}) {
  const all = series.flatMap(({ points }) => points);
  const low = from ?? Math.min(0, ...all.map(([, y]) => y));
  const high = to ?? Math.max(...all.map(([, y]) => y), low + 1e-9);
  const first = xFrom ?? Math.min(...all.map(([x]) => x));
  const last = Math.max(xTo ?? -Infinity, ...all.map(([x]) => x), first + 1e-9);
  const place = {
    x: (value) => round(SIDE.left + ((value - first) / (last - first)) * (width - SIDE.left - SIDE.right)),
    y: (value) => round(height - SIDE.bottom - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (height - SIDE.top - SIDE.bottom)),
  };
  const made = picture(width, height, label);
  made.classList.add("plot");
  made.append(...lines(place, { low, high, first, last, width, height, xName, yName, write }));
  for (const [x, text] of marks) made.append(svg("path", { d: `M${place.x(x)} ${SIDE.top}V${height - SIDE.bottom}`, class: "mark-line" }), svg("text", { x: place.x(x), y: SIDE.top + 10, "text-anchor": "middle", class: "label" }, text));
  for (const one of series) made.append(...curve(one, place, low));
  return made;
}

function lines(place, { low, high, first, last, width, height, xName, yName, write }) {
  const made = [];
  for (const value of ticks(low, high, 4)) {
    const y = place.y(value);
    made.push(svg("path", { d: `M${SIDE.left} ${y}H${width - SIDE.right}`, class: "grid-line" }), svg("text", { x: SIDE.left - 8, y: y + 4, "text-anchor": "end", class: "label" }, write(value)));
  }
  for (const value of ticks(first, last, 5)) made.push(svg("text", { x: place.x(value), y: height - SIDE.bottom + 16, "text-anchor": "middle", class: "label" }, value.toLocaleString("en")));
  if (xName) made.push(svg("text", { x: width - SIDE.right, y: height - 4, "text-anchor": "end", class: "label axis-name" }, xName));
  if (yName) made.push(svg("text", { x: 2, y: height - 4, class: "label axis-name" }, `↑ ${yName}`));
  return made;
}

function curve({ points, kind = "data", dots, dash, fill }, place, low) {
  if (!points.length) return [];
  const at = points.map(([x, y]) => `${place.x(x)} ${place.y(y)}`);
  const made = [];
  if (fill) made.push(svg("path", { d: `M${at.join("L")}L${place.x(points.at(-1)[0])} ${place.y(low)}L${place.x(points[0][0])} ${place.y(low)}z`, class: `area ${kind}` }));
  made.push(svg("path", { d: `M${at.join("L")}`, class: `curve-line ${kind}${dash ? " dash" : ""}` }));
  if (dots) for (const [x, y] of points) made.push(svg("circle", { cx: place.x(x), cy: place.y(y), r: 3, class: `dot ${kind}` }));
  return made;
}

/** Round values between two numbers, about `n` of them. */
export function ticks(low, high, n) {
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((step) => step >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(Number((at * step).toPrecision(12)));
  return found;
}
