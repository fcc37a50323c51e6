// The thread that answers in a page without a server. It holds the module and the model, and does one thing after the other.
//
// It is told: { module } its bytes · { room } how long the model is · { part } the next bytes of the model · { open } that this was
// all · { id, question } a question. It tells: { part } the bytes, which the page keeps · { opened } · { id, frame } · { id, answer }
// · { id?, error, broken? }. Bytes come as base64 or as a buffer; questions, frames and answers are JSON texts.
//
// This is a classic script without imports, since a page that was opened from a disk can only make a worker from a text.

"use strict";

let module;
let running;
let model = { at: 0, end: 0 };

function bytesOf(part) {
  if (typeof part !== "string") return new Uint8Array(part);
  const text = atob(part);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const textAt = (at, len) => new TextDecoder().decode(new Uint8Array(module.memory.buffer, at, len));
const output = () => textAt(module.output(), module.output_len());

/** Memory of the module for `len` bytes. Its address is unsigned. */
function room(len) {
  const at = module.input(len) >>> 0;
  if (at === 0) throw new Error(`The browser has too little memory: ${(len / 1e6).toFixed(0)} MB more were needed.`);
  return at;
}

/** Calls the module; a fault in it says what happened. */
function call(name) {
  try {
    return module[name]();
  } catch (error) {
    let said = "";
    try {
      said = JSON.parse(output()).error.message;
    } catch {
      // It has not come to say it.
    }
    throw Object.assign(new Error(said || `The model ended unexpectedly, perhaps for lack of memory (${error.message}).`), { broken: true });
  }
}

const does = {
  async module({ module: bytes }) {
    const frame = (at, len) => postMessage({ id: running, frame: textAt(at >>> 0, len) });
    try {
      module = (await WebAssembly.instantiate(bytesOf(bytes), { page: { frame } })).instance.exports;
    } catch (error) {
      throw new Error(`This browser cannot run the model: it needs WebAssembly with SIMD, which browsers have since 2023 (${error.message}).`);
    }
  },
  room({ room: len }) {
    const at = room(len);
    model = { at, end: at + len };
  },
  part({ part }) {
    const bytes = bytesOf(part);
    if (model.at + bytes.length > model.end) throw new Error("The page is damaged: its model is longer than it should be.");
    new Uint8Array(module.memory.buffer, model.at, bytes.length).set(bytes);
    model.at += bytes.length;
    postMessage({ part: bytes.buffer }, [bytes.buffer]);
  },
  open() {
    if (model.at !== model.end) throw new Error("The page is damaged: a part of its model is missing.");
    call("open");
    const { error } = JSON.parse(output());
    if (error) throw new Error(error.message);
    postMessage({ opened: true });
  },
  question({ id, question }) {
    running = id;
    const bytes = new TextEncoder().encode(question);
    const at = room(bytes.length);
    new Uint8Array(module.memory.buffer, at, bytes.length).set(bytes);
    call("ask");
    postMessage({ id, answer: output() });
  },
};

let turn = Promise.resolve();
addEventListener("message", ({ data }) => {
  const act = Object.keys(does).find((name) => name in data);
  turn = turn.then(() => does[act](data)).catch(({ message, broken }) => postMessage({ id: data.id, error: message, broken }));
});
