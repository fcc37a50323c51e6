// Small things for pictures in SVG.

/** Makes an SVG element: `svg("rect", { x: 1, class: "data" }, child, …)`. Listeners as `onclick`. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An SVG picture with a name for screen readers. `scale` false keeps its size in pixels. */
export function picture(width, height, label, ...children) {
  return svg(
    "svg",
    {
      viewBox: `0 0 ${round(width)} ${round(height)}`,
      width: round(width),
      height: round(height),
      class: "picture",
      role: "img",
      "aria-label": label,
    },
    ...children,
  );
}

/** Coordinates with two decimals, which is finer than any screen. */
export const round = (value) => Math.round(value * 100) / 100;

let pen;

/** The width of a text in pixels, in the page's font. */
export function textWidth(text, size = 13, weight = 400, mono = false) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${weight} ${size}px ${mono ? MONO : SANS}`;
  return pen.measureText(text).width;
}

export const SANS = '"Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", sans-serif';
export const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace';

/** A text cut to a length, with an ellipsis. */
export function cut(text, length) {
  const letters = [...text];
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
}
