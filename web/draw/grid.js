// A matrix as a grid of cells, in SVG. Cells of the same strength are one path, so that 128 × 128 of them stay fast.

import { format, most } from "./numbers.js";
import { cut, picture, round, svg, textWidth } from "./svg.js";

const LEVELS = 16;
const LABEL = 12;

/**
 * Draws `value(r, c)`: numbers, `null` for no cell (masked). Cells are filled by magnitude / `full`; numbers below zero
 * are drawn as hollow cells of the other hue. Options: `rows`, `cols`, `cell` (pixels), `kind`, `label`, `full`,
 * `rowLabels`, `colLabels` (texts), `chosen` `[r, c]` or `[r, null]` for a whole row, `pick(r, c)`, `say(r, c)` the
 * text of a cell for pointers and screen readers, `numbers`: whether cells show theirs where there is room.
 */
export function grid(options) {
  const { rows, cols, kind = "data", label, rowLabels, colLabels, pick } = options;
  const cell = options.cell ?? Math.max(3, Math.min(28, Math.floor(560 / Math.max(rows, cols))));
  const named = cell >= 9;
  const left = rowLabels && named ? 8 + Math.max(...rowLabels.map((text) => textWidth(cut(text, LABEL), 12))) : 2;
  const longest = colLabels && named ? Math.max(...colLabels.map((text) => textWidth(cut(text, LABEL), 12))) : 0;
  const top = longest ? longest * 0.87 + 12 : 2;
  const width = left + cols * cell + (longest ? Math.max(8, longest * 0.5) : 2);
  const made = picture(width, top + rows * cell + 2, label);
  const place = { left, top, cell };
  made.append(
    svg("rect", {
      x: round(left - 0.5),
      y: round(top - 0.5),
      width: cols * cell + 1,
      height: rows * cell + 1,
      rx: kind === "data" ? 3 : 0,
      class: `frame ${kind}`,
    }),
  );
  made.append(...filled(options, place, kind));
  if (named) made.append(...labels(options, place));
  if (options.numbers && cell >= 34) made.append(...written(options, place));
  const marker = svg("rect", { class: "marker", rx: 2 });
  made.append(marker);
  made.mark = (r, c) => markAt(marker, place, r, c, cols);
  made.mark(options.chosen?.[0] ?? null, options.chosen?.[1] ?? null);
  if (pick) listen(made, options, place);
  return made;
}

function filled({ rows, cols, value, full }, { left, top, cell }, kind) {
  const largest = full ?? most(every(rows, cols, value));
  const paths = new Map();
  const inset = cell > 8 ? 1 : cell > 4 ? 0.5 : 0;
  const side = cell - 2 * inset;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const v = value(r, c);
      if (v === null || v === undefined || !Number.isFinite(v)) continue;
      const level = Math.round(LEVELS * Math.min(1, Math.abs(v) / largest));
      if (!level) continue;
      const key = v < 0 ? -level : level;
      paths.set(key, `${paths.get(key) ?? ""}M${round(left + c * cell + inset)} ${round(top + r * cell + inset)}h${side}v${side}h${-side}z`);
    }
  }
  return [...paths].map(([key, d]) =>
    svg("path", {
      d,
      class: `cell ${kind}${key < 0 ? " negative" : ""}`,
      [key < 0 ? "stroke-opacity" : "fill-opacity"]: round(Math.abs(key) / LEVELS),
      ...(key < 0 && { "fill-opacity": round((0.45 * -key) / LEVELS) }),
    }),
  );
}

function* every(rows, cols, value) {
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) yield value(r, c) ?? 0;
}

function labels({ rows, cols, rowLabels, colLabels }, { left, top, cell }) {
  const made = [];
  for (let r = 0; rowLabels && r < rows; r++)
    made.push(
      svg("text", { x: round(left - 6), y: round(top + (r + 0.5) * cell + 4), "text-anchor": "end", class: "label" }, cut(rowLabels[r], LABEL)),
    );
  for (let c = 0; colLabels && c < cols; c++)
    made.push(
      svg(
        "text",
        { transform: `translate(${round(left + (c + 0.5) * cell + 2)} ${round(top - 6)}) rotate(-60)`, class: "label" },
        cut(colLabels[c], LABEL),
      ),
    );
  return made;
}

function written({ rows, cols, value, full }, { left, top, cell }) {
  const made = [];
  const largest = full ?? most(every(rows, cols, value));
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const v = value(r, c);
      if (v !== null && v !== undefined)
        made.push(
          svg(
            "text",
            {
              x: round(left + (c + 0.5) * cell),
              y: round(top + (r + 0.5) * cell + 4),
              "text-anchor": "middle",
              class: `in-cell${v > 0.6 * largest ? " strong" : ""}`,
            },
            format(v, 2),
          ),
        );
    }
  }
  return made;
}

function markAt(marker, { left, top, cell }, r, c, cols) {
  marker.style.display = r === null ? "none" : "";
  if (r === null) return;
  marker.setAttribute("x", round(left + (c ?? 0) * cell - 1));
  marker.setAttribute("y", round(top + r * cell - 1));
  marker.setAttribute("width", (c === null ? cols : 1) * cell + 2);
  marker.setAttribute("height", cell + 2);
}

/** Pointer and arrow keys choose a cell. */
function listen(made, { rows, cols, pick, say, label }, { left, top, cell }) {
  let now = [0, 0];
  made.classList.add("choosing");
  made.setAttribute("tabindex", "0");
  made.setAttribute("aria-description", "Arrow keys choose a cell");
  const title = svg("title");
  made.prepend(title);
  const cellAt = (event) => {
    const box = made.getBoundingClientRect();
    const scale = made.viewBox.baseVal.width / box.width;
    const c = Math.floor(((event.clientX - box.left) * scale - left) / cell);
    const r = Math.floor(((event.clientY - box.top) * scale - top) / cell);
    return r >= 0 && c >= 0 && r < rows && c < cols ? [r, c] : null;
  };
  const choose = (at) => {
    now = at;
    if (say) made.setAttribute("aria-label", `${label}. ${say(...at)}`);
    pick(...at);
  };
  made.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    title.textContent = at && say ? say(...at) : "";
  });
  made.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) choose(at);
  });
  made.addEventListener("keydown", (event) => {
    const by = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    choose([Math.max(0, Math.min(rows - 1, now[0] + by[0])), Math.max(0, Math.min(cols - 1, now[1] + by[1]))]);
  });
}
