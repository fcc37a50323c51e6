// One pass over T tokens, timed by the page.

import { ask } from "../engine.js";

const TRIES = 12;
const ENOUGH = 5_000;

/**
 * Times passes over `sizes` tokens: `{ points: [[tokens, ms]], remark }`. The fastest of several tries counts, because a
 * busy machine only adds. The way to the model and back, timed with a question that computes nothing, is taken off.
 */
export async function clock(lesson, sizes, tell) {
  // The largest first: room for it is made once. Frames keep the answer from being remembered.
  const pass = (tokens) => once({ ask: "pass", tokens }, lesson.signal);
  await pass(sizes.at(-1));
  let way = Infinity;
  for (let at = 0; at < 8; at++) way = Math.min(way, await once({ ask: "context", tokens: 8 }, lesson.signal));
  const start = performance.now();
  const best = new Map(sizes.map((tokens) => [tokens, Infinity]));
  for (let round = 0; round < TRIES; round++) {
    for (const tokens of sizes) {
      tell?.(`Measuring: round ${round + 1} of ${TRIES}, ${tokens} tokens…`);
      best.set(tokens, Math.min(best.get(tokens), await pass(tokens)));
    }
    if (performance.now() - start > ENOUGH) break;
  }
  const points = sizes.map((tokens) => [tokens, Math.max(0.01, best.get(tokens) - way)]);
  return { points, remark: `The way to the model and back (${way.toFixed(1)} ms) has been taken off.` };
}

async function once(question, signal) {
  const start = performance.now();
  await ask(question, { signal, onFrame: () => {} });
  return performance.now() - start;
}

/** Least squares of `ms = a + b T + c T²`, weighed between their sizes and the same; no part below 0. */
export function fit(points) {
  const parts = [() => 1, (t) => t, (t) => t * t];
  for (const use of [[0, 1, 2], [1, 2], [0, 1], [1]]) {
    const found = solve(points, use.map((at) => parts[at]));
    if (!found || found.some((x) => x < 0)) continue;
    const all = [0, 0, 0];
    use.forEach((at, i) => (all[at] = found[i]));
    return { a: all[0], b: all[1], c: all[2] };
  }
  return { a: 0, b: 0, c: 0 };
}

/** Normal equations by elimination. */
function solve(points, parts) {
  const n = parts.length;
  const rows = parts.map((p) => [...parts.map((q) => points.reduce((sum, [t, ms]) => sum + (p(t) * q(t)) / ms ** 1.5, 0)), points.reduce((sum, [t, ms]) => sum + p(t) / ms ** 0.5, 0)]);
  for (let at = 0; at < n; at++) {
    const pivot = rows[at][at];
    if (Math.abs(pivot) < 1e-300) return null;
    for (let other = 0; other < n; other++) {
      if (other === at) continue;
      const by = rows[other][at] / pivot;
      rows[other] = rows[other].map((x, i) => x - by * rows[at][i]);
    }
  }
  return rows.map((row, at) => row[n] / row[at]);
}
