// What a prompt holds: its tokens, what does not fit and is left out, and which token belongs to which message.

import { post, Trouble } from "./api.js";
import { rawPiece, rawText } from "./pieces.js";

const cache = new Map();

/** The tokens of a request body for `/tokenize`: `[{ id, raw }]`. */
export async function tokens(body, signal) {
  const key = JSON.stringify(body);
  if (cache.has(key)) return cache.get(key);
  const answer = await post("tokenize", { ...body, with_pieces: true }, signal);
  const found = answer.tokens.map(({ id, piece }) => ({ id, raw: rawPiece(piece) }));
  cache.set(key, found);
  if (cache.size > 60) cache.delete(cache.keys().next().value);
  return found;
}

/** Messages as the service takes them. */
export function messagesOf(system, nodes) {
  const first = system ? [{ role: "system", content: system }] : [];
  return [...first, ...nodes.map(({ role, content }) => ({ role, content }))];
}

/** The prompt as fields of a request. A model without a chat template continues the text of all messages. */
export function asPrompt(model, system, nodes) {
  if (model.chat) return { messages: messagesOf(system, nodes) };
  return { prompt: nodes.map(({ content }) => content).join("") };
}

/**
 * Leaves out the oldest questions, each with its answer, until the prompt and `room` tokens of answer fit.
 * Returns `{ tokens, left, kept, fits }`; the last question is never left out.
 */
export async function fit(model, system, nodes, room, signal) {
  const starts = nodes.flatMap((node, i) => (i > 0 && node.role === "user" ? [i] : []));
  const from = [0, ...starts];
  const of = (n) => tokens(asPrompt(model, system, nodes.slice(from[n])), signal);
  // The fewest that must go, by halving: prompts only get shorter.
  let [low, high] = [0, from.length - 1];
  while (low < high) {
    const middle = low === 0 && high === from.length - 1 ? 0 : (low + high) >> 1;
    if ((await of(middle)).length + room <= model.context) high = middle;
    else low = middle + 1;
  }
  const found = await of(low);
  const fits = found.length + room <= model.context;
  return { tokens: found, left: nodes.slice(0, from[low]), kept: nodes.slice(from[low]), fits };
}

/** Why a prompt does not fit, although only the last question is left. */
export function tooLong(model, plan, room) {
  const free = model.context - plan.tokens.length;
  const advice = free > 0 ? `Shorten them, or set “at most tokens” to ${free} or less.` : "Shorten them.";
  return new Trouble(
    "long",
    `The question and the system prompt take ${plan.tokens.length} tokens, and ${room} are set aside for the answer, ` +
      `but the model's context is ${model.context}. ${advice}`,
  );
}

const mark = (i) => `[[glass:${i}]]`;

/** What the template writes around the messages: one text before each, and one after the last. */
async function around(messages, signal) {
  const marked = messages.map(({ role }, i) => ({ role, content: mark(i) }));
  let rest = (await tokens({ messages: marked }, signal)).map(({ raw }) => raw).join("");
  const texts = [];
  for (let i = 0; i < messages.length; i++) {
    const at = rest.indexOf(mark(i));
    if (at < 0) return null;
    texts.push(rest.slice(0, at));
    rest = rest.slice(at + mark(i).length);
  }
  return [...texts, rest];
}

/**
 * The tokens of each message of a prompt: for each of `messages` `{ first, tokens }`, where `first` counts the tokens
 * of the prompt before it. A message that cannot be found, because the template changes it, gets null.
 */
export async function tokensOfMessages(model, messages, prompt, signal) {
  const texts = model.chat ? await around(messages, signal) : null;
  const whole = prompt.map(({ raw }) => raw).join("");
  // A model that only continues text may have a start token before it.
  let at = model.chat ? 0 : Math.max(0, whole.length - messages.map(({ content }) => rawText(content)).join("").length);
  return messages.map(({ content }, i) => {
    const between = texts?.[i] ?? "";
    const found = [content, content.trim()].map(rawText).find((raw) => whole.startsWith(between + raw, at));
    if (found === undefined) return null;
    at += between.length;
    const range = tokensWithin(prompt, at, at + found.length);
    at += found.length;
    return range;
  });
}

/** The tokens that hold bytes `from..to` of the prompt; those across a border show only what is inside. */
function tokensWithin(prompt, from, to) {
  let at = 0;
  let first = null;
  const inside = [];
  prompt.forEach((token, i) => {
    const [begin, end] = [at, at + token.raw.length];
    at = end;
    if (end <= from || begin >= to) return;
    first ??= i;
    const shown = token.raw.slice(Math.max(0, from - begin), to - begin);
    inside.push(shown === token.raw ? token : { ...token, shown });
  });
  return { first: first ?? 0, tokens: inside };
}
