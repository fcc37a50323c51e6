// Attention as arcs over the words: from the word that looks to the words it looks at; the wider, the more.

import { visible } from "../pieces.js";
import { percent } from "./numbers.js";
import { cut, picture, round, svg, textWidth } from "./svg.js";

const GAP = 8;
/** Few words stand further apart, so that there is room for their arcs. */
const ROOM = 820;
const WIDEST = 7;

/**
 * `words`: the texts of the tokens; `shares[k]`: how much the word `query` looks at word k (all counted within `words`).
 * Options: `label`; `pick(k)` when a word is clicked; `faint`: shares of the other queries `[[…], …]`, drawn thin;
 * `left_out`: a set of words whose arcs are not drawn. Returns an element that scrolls sideways where there is no room.
 */
export function arcs({ words, query, shares, label, pick, faint, leftOut = new Set() }) {
  const texts = words.map((word) => cut(visible(word) || "·", 14));
  const widths = texts.map((text) => Math.max(textWidth(text, 13, 400, true) + 14, 34));
  const gap = Math.max(GAP, Math.min(64, (Math.min(ROOM, innerWidth - 60) - widths.reduce((sum, wide) => sum + wide, 0)) / widths.length));
  const middles = [];
  let width = 8;
  for (const wide of widths) {
    middles.push(width + wide / 2);
    width += wide + gap;
  }
  const farthest = Math.max(30, ...shares.map((share, k) => (share > 0.004 && !leftOut.has(k) ? Math.abs(middles[query] - middles[k]) : 0)));
  const rise = Math.min(200, 26 + farthest * 0.36);
  const ground = rise + 8;
  const arc = (from, to) => bow(middles[from], middles[to], ground, rise, farthest);
  const made = picture(width, ground + 56, label);
  for (const [q, row] of (faint ?? []).entries()) {
    if (q === query) continue;
    for (const [k, share] of row.entries())
      if (share > 0.12 && k < q && !leftOut.has(k))
        made.append(
          svg("path", {
            d: bow(middles[q], middles[k], ground, rise, Math.max(farthest, Math.abs(middles[q] - middles[k]))),
            class: "arc faint",
            "stroke-width": round(3 * share),
          }),
        );
  }
  shares.forEach((share, k) => {
    if (share < 0.004 || k === query || leftOut.has(k)) return;
    made.append(
      svg("path", {
        d: arc(query, k),
        class: "arc",
        "stroke-width": round(Math.max(0.75, WIDEST * share)),
        "stroke-opacity": round(0.35 + 0.65 * Math.min(1, share * 2)),
      }),
    );
  });
  words.forEach((_, k) => made.append(word(k, { texts, widths, middles, ground, query, shares, leftOut, pick })));
  const scroll = document.createElement("div");
  scroll.className = "scroll-x";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", "Attention as arcs, to be scrolled sideways");
  scroll.append(made);
  // The word that looks is in sight.
  requestAnimationFrame(() => (scroll.scrollLeft = middles[query] - scroll.clientWidth * 0.7));
  return scroll;
}

function bow(from, to, ground, rise, farthest) {
  const high = ground - 14 - (rise - 22) * (Math.abs(from - to) / farthest);
  return `M${round(from)} ${ground}C${round(from)} ${round(high)} ${round(to)} ${round(high)} ${round(to)} ${ground}`;
}

/** A word with a bar of its share below it. */
function word(k, { texts, widths, middles, ground, query, shares, leftOut, pick }) {
  const left = middles[k] - widths[k] / 2;
  const share = shares[k] ?? 0;
  const box = svg("rect", {
    x: round(left),
    y: ground + 2,
    width: round(widths[k]),
    height: 24,
    rx: 5,
    class: `word${k === query ? " chosen" : ""}`,
  });
  const name = svg("text", { x: round(middles[k]), y: ground + 18, "text-anchor": "middle", class: "word-text" }, texts[k]);
  const bar = svg("rect", {
    x: round(left + 3),
    y: ground + 32,
    width: round((widths[k] - 6) * share),
    height: 5,
    rx: 2.5,
    class: leftOut.has(k) ? "data out" : "data",
  });
  const said =
    share >= 0.01
      ? svg("text", { x: round(middles[k]), y: ground + 51, "text-anchor": "middle", class: "share" }, `${Math.round(100 * share)} %`)
      : null;
  const group = svg("g", { class: pick ? "pickable" : "" }, svg("title", {}, `${texts[k]}: ${percent(share)}`), box, name, bar, said);
  if (pick) group.addEventListener("click", () => pick(k));
  return group;
}
