// From log-probabilities to what is drawn: penalties → temperature → top-k → top-p → min-p, as the server does it.
// Pure arithmetic: no page, no server.

/** Tokens by falling score; of equal ones the lower id comes first. */
export function ranking(scores) {
  const order = Uint32Array.from(scores, (_, id) => id);
  return order.sort((a, b) => scores[b] - scores[a] || a - b);
}

/**
 * Log-probabilities less the penalties for what was generated already. Both subtract, so it makes no difference that
 * the server subtracts from logits. (The repetition penalty divides logits: it cannot be had from probabilities.)
 */
export function penalised(logprobs, generated, { presence_penalty = 0, frequency_penalty = 0 }) {
  if (!presence_penalty && !frequency_penalty) return logprobs;
  const scores = logprobs.slice();
  const times = new Map();
  for (const id of generated) times.set(id, (times.get(id) ?? 0) + 1);
  for (const [id, n] of times) scores[id] -= presence_penalty + frequency_penalty * n;
  return scores;
}

/** How many tokens of `order` remain, and the probability of each: `{ kept, probability(place) }`. */
export function drawnFrom(scores, order, { temperature, top_k, top_p, min_p }) {
  if (temperature === 0) return { kept: 1, probability: (place) => (place === 0 ? 1 : 0) };
  const peak = scores[order[0]];
  const weight = (place) => Math.exp((scores[order[place]] - peak) / temperature);
  let within = top_k > 0 ? Math.min(top_k, order.length) : order.length;
  let mass = 0;
  for (let place = 0; place < within; place++) mass += weight(place);
  const enough = top_p < 1 ? top_p * mass : Infinity;
  let kept = 0;
  let sum = 0;
  // As few as hold top-p, none below min-p times the first; at least one.
  while (kept < within) {
    const w = weight(kept);
    if (kept > 0 && (sum >= enough || w < min_p)) break;
    sum += w;
    kept += 1;
  }
  return { kept, probability: (place) => (place < kept ? weight(place) / sum : 0) };
}
