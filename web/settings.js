// How answers are drawn. What the model advises is the default.

/** The samplers in the order in which the server applies them, then the rest. */
export const FIELDS = [
  { name: "repetition_penalty", label: "Repetition penalty", min: 0.5, max: 2, step: 0.05, neutral: 1, help: "divides the logits of tokens that were seen, in the prompt too; 1 changes nothing" },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.1, neutral: 0, help: "subtracts once from tokens that were generated" },
  { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: 0.1, neutral: 0, help: "subtracts each time a token was generated" },
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, neutral: 1, help: "0 always takes the most probable token" },
  { name: "top_k", label: "Top-k", min: 0, max: 1000000, step: 1, neutral: 0, whole: true, help: "keeps the k most probable tokens; 0 keeps all" },
  { name: "top_p", label: "Top-p", min: 0, max: 1, step: 0.01, neutral: 1, help: "keeps the fewest tokens that together hold this probability" },
  { name: "min_p", label: "Min-p", min: 0, max: 1, step: 0.01, neutral: 0, help: "keeps tokens at least this many times as probable as the first" },
];

export const PANEL = ["temperature", "top_k", "top_p", "min_p"].map((name) => FIELDS.find((field) => field.name === name));

/** What the model advises, with neutral values where it says nothing. */
export function advised(model) {
  // Single precision as JSON has digits that nobody wrote: 0.30000001192092896.
  const of = ({ name, neutral }) => [name, Number((model.sampling?.[name] ?? neutral).toPrecision(7))];
  return {
    ...Object.fromEntries(FIELDS.map(of)),
    max_tokens: model.sampling?.max_tokens ?? Math.max(16, Math.min(512, Math.floor(model.context / 2))),
    seed: null,
    stop: [],
  };
}

/** The settings of a conversation, completed by advice. A conversation keeps only what differs from it. */
export const resolved = (model, own = {}) => ({ ...advised(model), ...own });

/** Settings as fields of a request. A random seed is drawn here, so that the answer can be had again. */
export function asFields(settings) {
  const { stop, seed, ...rest } = settings;
  const fields = { ...rest, seed: seed ?? crypto.getRandomValues(new Uint32Array(1))[0] };
  if (stop.length) fields.stop = stop;
  return fields;
}

/** One line that says how answers are drawn. */
export function summary(model, settings) {
  const usual = advised(model);
  const parts = FIELDS.filter(({ name, neutral }) => name === "temperature" || settings[name] !== neutral || usual[name] !== neutral);
  const said = parts.map(({ name, label }) => `${label.toLowerCase()} ${settings[name]}`);
  said.push(settings.seed === null ? "seed random" : `seed ${settings.seed}`, `at most ${settings.max_tokens} tokens`);
  if (settings.stop.length) said.push(`stops at ${settings.stop.map((text) => JSON.stringify(text)).join(", ")}`);
  return said.join(" · ");
}
