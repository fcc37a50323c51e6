// A vector as a strip of cells. Data are discs, weights are squares, as in the pictures of `glass look`; where cells are
// too small for that they are bars up (above zero) and down (below zero). The frame is round for data, square for weights.

import { make } from "../dom.js";
import { format, most } from "./numbers.js";
import { number } from "./number.js";
import { picture, round, svg } from "./svg.js";

const HEIGHT = 40;

/** The picture alone, as `<svg>`. Options: `kind`, `width`, `height`, `full` (the magnitude of a full cell), `label`. */
export function strip(numbers, { kind = "data", width = 640, height = HEIGHT, full, label } = {}) {
  const largest = full ?? most(numbers);
  const step = (width - 8) / numbers.length;
  const frame = svg("rect", { x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: kind === "data" ? 6 : 0, class: `frame ${kind}` });
  const body = step >= 9 ? cells(numbers, step, height, largest, kind) : columns(numbers, step, height, largest, kind);
  const middle = svg("path", { d: `M4 ${height / 2}H${width - 4}`, class: "axis" });
  const made = picture(width, height, label ?? `A vector of ${numbers.length} numbers, the largest ${format(most(numbers))}`, frame, middle, ...body);
  // Bars may be stretched to the room there is, discs and squares may not.
  made.classList.add("strip");
  if (step < 9) made.setAttribute("preserveAspectRatio", "none");
  return made;
}

function cells(numbers, step, height, largest, kind) {
  const room = Math.min(step, height) / 2 - 1.5;
  return Array.from(numbers, (value, at) => {
    const size = round(room * Math.sqrt(Math.min(1, Math.abs(value) / largest)));
    const x = round(4 + step * (at + 0.5));
    const sort = `${kind}${value < 0 ? " negative" : ""}`;
    if (size < 0.3) return null;
    return kind === "data"
      ? svg("circle", { cx: x, cy: height / 2, r: size, class: sort })
      : svg("rect", { x: round(x - size), y: round(height / 2 - size), width: round(2 * size), height: round(2 * size), class: sort });
  });
}

/** One path for all bars above zero and one for those below: hundreds of numbers stay fast. */
function columns(numbers, step, height, largest, kind) {
  const paths = { above: "", below: "" };
  const wide = round(Math.max(0.6, step * 0.8));
  numbers.forEach((value, at) => {
    const tall = round((height / 2 - 3) * Math.min(1, Math.abs(value) / largest));
    if (tall < 0.05) return;
    const x = round(4 + step * at + step * 0.1);
    paths[value < 0 ? "below" : "above"] += `M${x} ${height / 2}v${value < 0 ? tall : -tall}h${wide}v${value < 0 ? -tall : tall}z`;
  });
  return [svg("path", { d: paths.above, class: kind }), svg("path", { d: paths.below, class: `${kind} negative` })];
}

/**
 * A vector in which a column can be chosen, with the pointer or the arrow keys; below it stands that number, which can
 * be traced. Options as `strip`, and `name` (what the vector is), `atOf(column)`, `column` (chosen at first).
 */
export function vector(numbers, { name, atOf, column = largestColumn(numbers), kind = "data", ...options } = {}) {
  const drawn = strip(numbers, { kind, ...options });
  const said = (at) => `${name ?? "vector"}, column ${at}: ${format(numbers[at])}`;
  const width = drawn.viewBox.baseVal.width;
  const height = drawn.viewBox.baseVal.height;
  const step = (width - 8) / numbers.length;
  const marker = svg("rect", { class: "marker", y: 1, height: height - 2, width: round(Math.max(2, step)) });
  drawn.append(marker);
  drawn.removeAttribute("aria-label");
  drawn.setAttribute("aria-hidden", "true");
  const slide = make(
    "div",
    {
      class: "vector-slide",
      role: "slider",
      tabindex: "0",
      "aria-label": `${name ?? "Vector"}: column`,
      "aria-valuemin": "0",
      "aria-valuemax": String(numbers.length - 1),
    },
    drawn,
  );
  const readout = make("p", { class: "readout" });
  const choose = (at) => {
    column = Math.max(0, Math.min(numbers.length - 1, at));
    marker.setAttribute("x", round(4 + step * column));
    slide.setAttribute("aria-valuenow", String(column));
    slide.setAttribute("aria-valuetext", said(column));
    readout.replaceChildren(
      make("span", { class: "note" }, `column ${column} of ${numbers.length}`),
      number(numbers[column], atOf?.(column), { kind, label: said(column) }),
    );
  };
  const point = (event) =>
    choose(Math.floor((((event.clientX - drawn.getBoundingClientRect().left) / drawn.getBoundingClientRect().width) * width - 4) / step));
  slide.addEventListener("pointerdown", point);
  slide.addEventListener("pointermove", (event) => event.buttons && point(event));
  slide.addEventListener("keydown", (event) => {
    const to = {
      ArrowRight: column + 1,
      ArrowUp: column + 1,
      ArrowLeft: column - 1,
      ArrowDown: column - 1,
      PageUp: column + 16,
      PageDown: column - 16,
      Home: 0,
      End: numbers.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
  choose(column);
  return make("div", { class: "vector" }, slide, readout);
}

function largestColumn(numbers) {
  let found = 0;
  numbers.forEach((value, at) => Math.abs(value) > Math.abs(numbers[found]) && (found = at));
  return found;
}
