// A link that restores an answer. Everything stands in the fragment, which browsers do not send to the server:
// the model's digest, the messages, how the answer was drawn, the SHA-256 of its bytes, and one byte for each of its
// tokens, which tell where another answer first differs without making the link as long as the answer.

import { FIELDS } from "./settings.js";
import { sha256 } from "./sha256.js";

const encoder = new TextEncoder();

const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const unbase64 = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

/** One byte of a token's id, well mixed (Knuth's multiplicative hash). */
const mixed = (id) => Math.imul(id + 1, 0x9e3779b1) >>> 24;

const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

/** The fragment for an answer to `messages` (or to a text alone: `prompt`). */
export async function encode({ model, messages, prompt, sent, content, tokens, stopped }) {
  const data = {
    v: 1,
    d: model.digest,
    m: model.id,
    ...(messages ? { q: messages.map(({ role, content }) => [role, content]) } : { p: prompt }),
    // An answer that was stopped is asked for up to there.
    s: stopped ? { ...sent, max_tokens: tokens.length } : sent,
    h: base64(sha256(encoder.encode(content))),
    t: base64(Uint8Array.from(tokens, ({ id }) => mixed(id))),
    ...(stopped && { c: 1 }),
  };
  const bytes = encoder.encode(JSON.stringify(data));
  if (!("CompressionStream" in window)) return `#j${chunked(bytes)}`;
  return `#z${chunked(await through(bytes, new CompressionStream("deflate-raw")))}`;
}

/** Long arrays are no arguments of a call. */
function chunked(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3 * 4096) text += base64(bytes.subarray(at, at + 3 * 4096));
  return text;
}

/** What a fragment holds; null if it is none of ours. Throws if it is damaged. */
export async function decode(fragment) {
  if (!/^#[zj][\w-]{20,}$/.test(fragment)) return null;
  const packed = unbase64(fragment.slice(2));
  const bytes = fragment[1] === "z" ? await through(packed, new DecompressionStream("deflate-raw")) : packed;
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const isText = (value) => typeof value === "string";
  const sound =
    data.v === 1 &&
    [data.d, data.m, data.h, data.t].every(isText) &&
    (isText(data.p) || (Array.isArray(data.q) && data.q.every((one) => Array.isArray(one) && one.length === 2 && one.every(isText))));
  if (!sound) throw new Error("the link is of another version");
  const names = [...FIELDS.map(({ name }) => name), "max_tokens", "seed"];
  const sent = Object.fromEntries(names.flatMap((name) => (Number.isFinite(data.s?.[name]) ? [[name, data.s[name]]] : [])));
  if (Array.isArray(data.s?.stop)) sent.stop = data.s.stop.filter(isText);
  return {
    model: { id: data.m, digest: data.d },
    messages: data.q?.map(([role, content]) => ({ role, content })) ?? null,
    prompt: data.p ?? null,
    sent,
    hash: data.h,
    marks: unbase64(data.t),
    stopped: data.c === 1,
  };
}

/** Compares an answer with the one of the link: `{ same, at }`; at is the first token that differs, if that shows. */
export function compare({ hash, marks }, { content, tokens }) {
  if (base64(sha256(encoder.encode(content))) === hash) return { same: true };
  const length = Math.min(marks.length, tokens.length);
  for (let at = 0; at < length; at++) if (mixed(tokens[at].id) !== marks[at]) return { same: false, at };
  return { same: false, at: marks.length === tokens.length ? null : length };
}
