// What the chat asks a service, answered by the model in this page: the same shapes, as far as the chat reads them.

import { alone } from "./alone.js";
import { Trouble } from "./trouble.js";

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** Little-endian f32 whatever the machine is. */
function floatsOf({ f32 }) {
  const bytes = new DataView(bytesOf(f32).buffer);
  return Float32Array.from({ length: bytes.byteLength / 4 }, (_, i) => bytes.getFloat32(4 * i, true));
}

async function ask(question, options) {
  try {
    return await alone.ask(question, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Trouble("refused", error.message);
  }
}

/** The ids of a conversation, or of a text. */
async function tokens({ messages, content, prompt }, signal) {
  const asked = messages ? { messages } : { text: content ?? prompt };
  return (await ask({ ask: "tokens", ...asked }, { signal })).tokens;
}

const paths = {
  async tokenize(body, signal) {
    return { tokens: (await tokens(body, signal)).map(({ id, bytes }) => ({ id, piece: bytes })) };
  },
  async detokenize({ tokens: ids }, signal) {
    const { tokens: found } = await ask({ ask: "pieces", ids }, { signal });
    return { content: new TextDecoder().decode(Uint8Array.from(found.flatMap(({ bytes }) => bytes))) };
  },
};

export const post = (path, body, signal) => paths[path](body, signal);

/** The events of an answer. Both kinds of answers have the shape of chats. */
export async function* stream(path, body, signal) {
  const prompt = (await tokens(body, signal)).map(({ id }) => id);
  const { context, chat } = alone.card;
  if (prompt.length + body.max_tokens > context) {
    const message = `the prompt has ${prompt.length} tokens and ${body.max_tokens} are asked for; the context holds ${context}.`;
    throw new Trouble("long", `This does not fit the model's context: ${message}`);
  }
  yield { prompt_token_ids: prompt, choices: [] };
  const names = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "stop", "logit_bias"];
  const fields = Object.fromEntries(names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]));
  const question = { ask: "generate", ids: prompt, tokens: body.max_tokens, chat, ...fields };
  let said = "";
  for await (const { frame, answer } of frames(question, signal)) {
    if (frame) {
      const { id, text, bytes, logprob } = frame;
      said += frame.said;
      yield event({ content: frame.said }, { logprobs: { content: [{ id, token: text, bytes, logprob }] }, token_ids: [id] });
    } else {
      const rest = answer.text.slice(said.length);
      yield event(rest ? { content: rest } : {}, { finish_reason: answer.finish });
    }
  }
}

const event = (delta, more) => ({ choices: [{ delta, ...more }] });

/** The frames of a question as they come, and its answer. */
async function* frames(question, signal) {
  const heard = [];
  let wake = () => {};
  const tell = (what) => {
    heard.push(what);
    wake();
  };
  ask(question, { signal, onFrame: (frame) => tell({ frame }) }).then((answer) => tell({ answer }), (error) => tell({ error }));
  for (;;) {
    while (heard.length === 0) await new Promise((resolve) => (wake = resolve));
    const { error, ...what } = heard.shift();
    if (error) throw error;
    yield what;
    if (what.answer) return;
  }
}

export const servedModel = async () => alone.card;

export async function logProbabilities(ids, signal) {
  return floatsOf((await ask({ ask: "next", ids, top: 0 }, { signal })).logprobs);
}
