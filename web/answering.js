// One answer: from a question in the tree to its tokens, with everything that can go wrong on the way.

import { app, changed } from "./app.js";
import { stream, Trouble } from "./api.js";
import { asPrompt, fit, tokens as tokensOf, tooLong } from "./fit.js";
import { asFields, resolved } from "./settings.js";
import { add, upTo } from "./tree.js";
import { rawOf, rawText, rawToken, textOf } from "./pieces.js";
import { keep } from "./keeping.js";
import { count, Speaker } from "./dom.js";

/** Answers `question`: a new child beside those that it has. Resolves to the answer, or null if none came. */
export async function answer(talk, question) {
  const settings = resolved(app.model, talk.settings);
  const nodes = upTo(talk, question);
  const begin = async (signal) => {
    const plan = await fit(app.model, talk.system, nodes, settings.max_tokens, signal);
    if (!plan.fits) throw tooLong(app.model, plan, settings.max_tokens);
    return { ...asPrompt(app.model, talk.system, plan.kept), ...asFields(settings), left: plan.left.map(({ id }) => id) };
  };
  return run(talk, question, begin);
}

/** Runs a request whose fields `begin` finds, and writes its answer below `question`. */
export async function run(talk, question, begin) {
  const control = new AbortController();
  app.running.set(talk.id, control);
  const before = question.chosen;
  const node = add(talk, question.id, { role: "assistant", content: "", tokens: [], state: "waiting" });
  Object.assign(node, { model: { id: app.model.id, digest: app.model.digest }, system: talk.system });
  delete question.trouble;
  changed("running");
  changed("talk");
  try {
    const { left, ...fields } = await begin(control.signal);
    const { messages, prompt, ...sent } = fields;
    Object.assign(node, { sent, left });
    await patiently(node, control.signal, () => receive(talk, node, fields, control.signal));
    node.state = "done";
  } catch (error) {
    failed(question, node, error, control.signal);
  }
  app.running.delete(talk.id);
  const empty = node.state !== "done" && node.tokens.length === 0;
  if (empty) takeBack(talk, question, node, before);
  talk.updated = Date.now();
  await keep(talk);
  changed("running");
  changed("talk");
  return empty ? null : node;
}

function failed(question, node, error, signal) {
  if (signal.aborted) {
    node.state = "stopped";
    return;
  }
  const said = error instanceof Trouble ? error : new Trouble("page", `Something went wrong in the page: ${error.message}`);
  if (!(error instanceof Trouble)) console.error(error);
  node.state = "cut";
  node.trouble = said.message;
  if (node.tokens.length === 0) question.trouble = said.message;
  if (said.kind === "away" || said.kind === "cut") changed("away");
}

/** Removes an answer that never began; the question stays. */
function takeBack(talk, question, node, before) {
  question.children = question.children.filter((id) => id !== node.id);
  question.chosen = before;
  delete talk.nodes[node.id];
}

/** Tries again while the server is busy, as it asks to. */
async function patiently(node, signal, attempt) {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (error.kind !== "busy" || tries === 9) throw error;
      node.remark = `${error.message} Trying again in ${count(error.wait, "second")}…`;
      changed("waiting", node);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, error.wait * 1000);
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve()));
      });
      signal.throwIfAborted();
      delete node.remark;
    }
  }
}

async function receive(talk, node, fields, signal) {
  const path = app.model.chat ? "v1/chat/completions" : "v1/completions";
  const extras = { model: app.model.id, stream: true, stream_options: { include_usage: true }, return_token_ids: true };
  const wanted = app.model.chat ? { logprobs: true, top_logprobs: 0 } : { logprobs: 0 };
  const speaker = new Speaker();
  const begun = performance.now();
  let first = null;
  let saved = begun;
  for await (const event of stream(path, { ...fields, ...extras, ...wanted }, signal)) {
    const choice = event.choices?.[0];
    node.prompt ??= event.prompt_token_ids ?? choice?.prompt_token_ids;
    if (!choice) continue;
    const text = choice.delta?.content ?? choice.text ?? "";
    const tokens = tokensIn(choice, text);
    node.content += text;
    node.tokens.push(...tokens);
    if (choice.finish_reason) node.finish = choice.finish_reason;
    if (choice.guesses) node.guesses = choice.guesses;
    const now = performance.now();
    if (tokens.length) {
      first ??= now;
      node.state = "writing";
      node.first = (first - begun) / 1000;
      node.rate = now > first ? (node.tokens.length - 1) / ((now - first) / 1000) : null;
    }
    speaker.add(text);
    changed("tokens", { node, tokens });
    // So that a page that is closed in mid-answer loses little.
    if (now - saved > 2000) {
      saved = now;
      keep(talk);
    }
  }
  if (!node.finish) throw new Trouble("cut", "The server ended the answer without saying why.");
  trim(node);
  await fillBytes(node, signal);
  speaker.finish(`The answer is complete: ${count(node.tokens.length, "token")}.`);
}

/** The tokens of one event, in the chat shape or in the old one. */
function tokensIn(choice, text) {
  return toldIn(choice, text).map((token, i) => (choice.guessed?.[i] ? { ...token, guessed: true } : token));
}

function toldIn(choice, text) {
  const ids = choice.token_ids ?? [];
  const chat = choice.logprobs?.content;
  if (chat) {
    return chat.map(({ id, token, bytes, logprob }, i) => ({ id: id ?? ids[i], raw: bytes ? rawOf(bytes) : rawText(token), logprob }));
  }
  const old = choice.logprobs?.tokens;
  if (old) {
    return old.map((token, i) => ({ id: ids[i], raw: rawToken(token), logprob: choice.logprobs.token_logprobs[i] }));
  }
  return ids.map((id, i) => ({ id, raw: i === 0 ? rawText(text) : "" }));
}

/** The old shape tells tokens as text: those that are no text alone get their bytes from the tokenizer, where it can tell. */
async function fillBytes(node, signal) {
  if (app.model.chat || !node.content || !node.tokens.some(({ raw }) => textOf(raw).includes("\ufffd"))) return;
  const bytes = new Map((await tokensOf({ content: node.content }, signal)).map(({ id, raw }) => [id, raw]));
  for (const token of node.tokens) token.raw = bytes.get(token.id) ?? token.raw;
}

/** Tokens behind a stop text were generated, but are no part of the answer. */
function trim(node) {
  if (!node.sent.stop?.length || node.finish !== "stop") return;
  const length = rawText(node.content).length;
  let at = 0;
  node.tokens = node.tokens.filter(({ raw }) => (at += raw.length) - raw.length < length);
  const last = node.tokens.at(-1);
  if (last && at > length) {
    const over = node.tokens.reduce((sum, { raw }) => sum + raw.length, 0) - length;
    if (over > 0) last.shown = last.raw.slice(0, last.raw.length - over);
  }
}

/** Stops the answer that is being written in the open conversation. */
export function stop() {
  app.running.get(app.talk.id)?.abort();
}
