// A part of the page as one SVG file: its texts, boxes and pictures where they stand, in the colours they have.

import { round, svg } from "./svg.js";

const MARGIN = 20;
/** The pixels of a canvas, named so that the page itself does not load them. */
const PIXELS = "data-pixels";
/** What the style sheet gives to shapes, written into the file. */
const SHAPE = ["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity"];
const LETTERS = ["font-family", "font-size", "font-weight", "text-anchor"];

/** `element` as the text of an SVG file. Elements marked `data-keep="no"` are left out. */
export function drawnAsSvg(element, title) {
  const box = element.getBoundingClientRect();
  const width = round(box.width + 2 * MARGIN);
  const origin = { x: box.left - MARGIN, y: box.top - MARGIN };
  const file = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, viewBox: "0 0 0 0" });
  const paper = svg("rect", { width: "100%", height: "100%", fill: getComputedStyle(document.body).backgroundColor });
  file.append(svg("title", {}, title), paper);
  walk(element, file, origin);
  // What scrolls is drawn whole.
  const height = round(Math.max(box.height, element.scrollHeight) + 2 * MARGIN);
  file.setAttribute("viewBox", `0 0 ${width} ${height}`);
  file.setAttribute("height", height);
  return new XMLSerializer().serializeToString(file).replaceAll(` ${PIXELS}="data:`, ' href="data:');
}

function walk(node, file, origin) {
  if (node.nodeType === Node.TEXT_NODE) return lines(node, file, origin);
  if (node.nodeType !== Node.ELEMENT_NODE || node.dataset?.keep === "no" || node.classList.contains("hidden")) return;
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden") return;
  if (node instanceof SVGSVGElement) return file.append(inside(node, origin));
  box(node, style, file, origin);
  if (node instanceof HTMLCanvasElement) return image(node, file, origin);
  if (node.matches("input, textarea, select")) return typed(node, style, file, origin);
  for (const child of node.childNodes) walk(child, file, origin);
}

/** An SVG picture of the page, with its colours written out. */
function inside(picture, origin) {
  const place = picture.getBoundingClientRect();
  const copy = picture.cloneNode(true);
  const from = [picture, ...picture.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((element, at) => {
    const style = getComputedStyle(element);
    if (style.display === "none") to[at].setAttribute("visibility", "hidden");
    for (const name of element instanceof SVGTextElement ? [...SHAPE, ...LETTERS] : SHAPE) to[at].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "style", "tabindex", "role", "aria-label", "aria-description"]) to[at].removeAttribute(name);
  });
  for (const [name, value] of Object.entries({ x: place.left - origin.x, y: place.top - origin.y, width: place.width, height: place.height }))
    copy.setAttribute(name, round(value));
  return copy;
}

const seen = (colour) => colour !== "transparent" && !/[,/]\s*0\)$/.test(colour);

function box(element, style, file, origin) {
  const place = element.getBoundingClientRect();
  if (!place.width || !place.height) return;
  const at = { x: round(place.left - origin.x), y: round(place.top - origin.y), width: round(place.width), height: round(place.height) };
  const wide = ["Top", "Right", "Bottom", "Left"].map((side) => parseFloat(style[`border${side}Width`]));
  const colours = ["Top", "Right", "Bottom", "Left"].map((side) => style[`border${side}Color`]);
  const framed = wide.every((one) => one > 0) && seen(colours[0]);
  const radius = Math.min(parseFloat(style.borderTopLeftRadius) || 0, place.height / 2);
  if (seen(style.backgroundColor) || framed) {
    const half = framed ? wide[0] / 2 : 0;
    file.append(
      svg("rect", {
        x: at.x + half,
        y: at.y + half,
        width: Math.max(0, at.width - 2 * half),
        height: Math.max(0, at.height - 2 * half),
        rx: radius,
        fill: seen(style.backgroundColor) ? style.backgroundColor : "none",
        stroke: framed ? colours[0] : "none",
        "stroke-width": wide[0],
        opacity: style.opacity,
      }),
    );
  }
  if (framed) return;
  const { x, y, width, height } = at;
  const sides = [`M${x} ${y}h${width}`, `M${x + width} ${y}v${height}`, `M${x} ${y + height}h${width}`, `M${x} ${y}v${height}`];
  sides.forEach(
    (d, side) => wide[side] > 0 && seen(colours[side]) && file.append(svg("path", { d, stroke: colours[side], "stroke-width": wide[side] })),
  );
}

/** A text node, line by line as it is broken on the page. */
function lines(node, file, origin) {
  if (!node.data.trim()) return;
  const style = getComputedStyle(node.parentElement);
  const range = document.createRange();
  let line = null;
  for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    const place = range.getBoundingClientRect();
    if (!place.width) continue;
    if (line && Math.abs(line.place.top - place.top) < 2) line.text += ` ${word}`;
    else {
      if (line) file.append(written(line, style, origin));
      line = { text: word, place };
    }
  }
  if (line) file.append(written(line, style, origin));
}

function written({ text, place }, style, origin) {
  const size = parseFloat(style.fontSize);
  const base = place.top + place.height / 2 + size * 0.35;
  return svg(
    "text",
    {
      x: round(place.left - origin.x),
      y: round(base - origin.y),
      fill: style.color,
      "font-family": style.fontFamily,
      "font-size": size,
      "font-weight": style.fontWeight,
      opacity: style.opacity,
    },
    text,
  );
}

function typed(element, style, file, origin) {
  const text = element.selectedOptions?.[0]?.textContent ?? (element.type === "range" ? "" : element.value);
  const place = element.getBoundingClientRect();
  const left = place.left + parseFloat(style.paddingLeft);
  if (text) file.append(written({ text, place: { left, top: place.top, height: Math.min(place.height, 40) } }, style, origin));
}

function image(canvas, file, origin) {
  const place = canvas.getBoundingClientRect();
  file.append(
    svg("image", {
      x: round(place.left - origin.x),
      y: round(place.top - origin.y),
      width: round(place.width),
      height: round(place.height),
      [PIXELS]: canvas.toDataURL(),
    }),
  );
}
