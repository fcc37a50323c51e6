// The service as this page talks to it. Addresses are relative, so that the page also works below a path. In a page that stands
// alone, the model in it answers instead.

import { alone } from "./alone.js";
import * as own from "./alone_chat.js";
import { events } from "./sse.js";
import { ask, make } from "./dom.js";
import { Trouble } from "./trouble.js";

export { Trouble };

/** After this long without even a keep-alive (they come every 15 s) a stream counts as lost. */
const SILENCE = 50_000;

const KEY = "glass-key";
let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch {
  // Without storage the key lives as long as the page.
}

let asking = null;

/** Asks for the API key; several requests that need it share one question. */
function askForKey() {
  asking ??= (async () => {
    const input = make("input", { type: "password", autocomplete: "off", id: "key", "aria-describedby": "key-note" });
    const body = make(
      "div",
      {},
      make("label", { for: "key" }, key ? "The server refused this key. Another one:" : "This server asks for a key."),
      input,
      make("p", { class: "note", id: "key-note" }, "It is kept until this tab is closed."),
    );
    const answer = await ask("API key", body, [{ label: "Cancel", value: "" }, { label: "Use it", value: "ok", primary: true }]);
    if (answer) {
      key = input.value.trim();
      try {
        sessionStorage.setItem(KEY, key);
      } catch {
        // As above.
      }
    }
    return Boolean(answer);
  })().finally(() => (asking = null));
  return asking;
}

async function request(path, { body, accept, signal, method } = {}) {
  const headers = {};
  const used = key;
  if (key) headers.authorization = `Bearer ${key}`;
  if (accept) headers.accept = accept;
  if (body) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method: method ?? (body ? "POST" : "GET"),
      headers,
      body: body && JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (error) {
    throw signal?.aborted ? error : new Trouble("away", "The server cannot be reached.");
  }
  if (response.ok) return response;
  // Another request may have asked for the key meanwhile.
  if (response.status === 401 && (key !== used || (await askForKey()))) {
    return request(path, { body, accept, signal, method });
  }
  throw await trouble(response);
}

async function trouble(response) {
  const { message = "", code } = (await response.json().catch(() => ({}))).error ?? {};
  const wait = Number(response.headers.get("retry-after")) || 1;
  if (response.status === 401) return new Trouble("key", "The server asks for an API key.");
  if (response.status === 429) return new Trouble("busy", "The server is busy: its queue is full.", wait);
  if (response.status === 503) {
    return new Trouble("away", `The server takes no new questions now: it is starting or shutting down. ${message}`.trim());
  }
  if (code === "context_length_exceeded") return new Trouble("long", `This does not fit the model's context: ${message}`);
  return new Trouble("refused", message || `The server answered with status ${response.status}.`);
}

/** The body of an answer as it arrives. */
export const bodyOf = async (path, body, signal) => (await request(path, { body, signal })).body;

const postToServer = async (path, body, signal) => (await request(path, { body, signal })).json();

/** The events of a streamed answer as objects, up to its end. A stream that breaks off is a `Trouble`. */
async function* streamFromServer(path, body, signal) {
  const gone = new AbortController();
  const abort = () => gone.abort();
  signal.addEventListener("abort", abort);
  let timer = setTimeout(abort, SILENCE);
  try {
    if (signal.aborted) abort();
    const response = await request(path, { body, signal: gone.signal });
    const heard = response.body.pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          clearTimeout(timer);
          timer = setTimeout(abort, SILENCE);
          controller.enqueue(chunk);
        },
      }),
    );
    for await (const data of events(heard)) {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Trouble("refused", event.error.message ?? String(event.error));
      yield event;
    }
    throw new Trouble("cut", "The server went away in the middle of the answer.");
  } catch (error) {
    if (error instanceof Trouble || signal.aborted) throw error;
    const silent = gone.signal.aborted ? "Nothing was heard from the server for a while." : "The server went away in the middle of the answer.";
    throw new Trouble("cut", silent);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

async function servedByServer() {
  const list = await (await request("v1/models")).json();
  return list.data[0];
}

export async function healthy() {
  if (alone) return true;
  try {
    return (await request("health")).ok;
  } catch {
    return false;
  }
}

async function logProbabilitiesFromServer(ids, signal) {
  const accept = "application/octet-stream";
  const response = await request("v1/look", { body: { prompt: ids }, accept, signal });
  const bytes = new DataView(await response.arrayBuffer());
  // Little-endian whatever the machine is.
  return Float32Array.from({ length: bytes.byteLength / 4 }, (_, i) => bytes.getFloat32(4 * i, true));
}

/** Asks for a JSON document. */
export const post = alone ? own.post : postToServer;

/** The events of a streamed answer. */
export const stream = alone ? own.stream : streamFromServer;

/** The model that is served. */
export const servedModel = alone ? own.servedModel : servedByServer;

/** Log-probabilities (natural) of the token after `ids`, for the whole vocabulary. */
export const logProbabilities = alone ? own.logProbabilities : logProbabilitiesFromServer;
