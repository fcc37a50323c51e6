// A page that stands alone: the model is a part of it and runs in a thread of the browser.
//
// `glass page` writes such a page. It sets `globalThis.glassAlone = {}` before the modules run, and holds, as script elements that no
// browser executes: "glass-card" (what the model is, as JSON), "glass-worker" (web/worker.js), then pieces of base64 (`data-piece`),
// first of the module and then of the model. They are decoded in the thread and removed one by one, while the page is already shown.

const card = globalThis.glassAlone && JSON.parse(document.getElementById("glass-card").textContent);

/** Bytes stay here for another thread: a question can only be ended with the thread that answers it. */
const kept = { module: null, parts: [] };

/** A question that goes on this long after nobody waits for it any more is ended with its thread. */
const PATIENCE = 300;

let worker = null;
let ready = null;
let asked = 0;
/** Questions that wait, in order; the first one is being answered if `busy`. */
const waiting = [];
let busy = false;

/** Takes the pieces out of the page, as they arrive. */
async function* pieces() {
  for (;;) {
    const piece = document.querySelector("script[data-piece]");
    const complete = document.readyState !== "loading";
    if (piece && (complete || piece.nextElementSibling)) {
      const found = { of: piece.dataset.piece, text: piece.textContent };
      piece.remove();
      yield found;
    } else if (complete) {
      return;
    }
    // The browser draws and reads on in between.
    await new Promise((resolve) => setTimeout(resolve));
  }
}

function startThread() {
  const text = document.getElementById("glass-worker").textContent;
  const made = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  const opened = new Promise((resolve, reject) => {
    made.addEventListener("message", ({ data }) => {
      if (made !== worker) return;
      if (data.part) kept.parts.push(data.part);
      else if (data.opened) resolve();
      else if (data.id === undefined) reject(new Error(data.error));
      else heard(data);
    });
    made.addEventListener("error", (event) => {
      const error = new Error(`The browser could not start the model's thread: ${event.message ?? "it gave no reason"}.`);
      reject(error);
      if (made === worker && busy) finish((question) => question.reject(error));
    });
  });
  opened.catch(() => {});
  return { made, opened };
}

/** The first thread gets the bytes from the page, another one those that were kept. */
async function openModel() {
  const { made, opened } = startThread();
  worker = made;
  if (kept.module) {
    const parts = kept.parts.splice(0);
    made.postMessage({ module: kept.module });
    made.postMessage({ room: card.size });
    // They move into the thread, and it gives them back.
    for (const part of parts) made.postMessage({ part }, [part]);
  } else {
    let module = "";
    for await (const { of, text } of pieces()) {
      if (of === "module") {
        module += text;
        continue;
      }
      if (!kept.module) {
        kept.module = module;
        made.postMessage({ module });
        made.postMessage({ room: card.size });
      }
      made.postMessage({ part: text });
    }
  }
  made.postMessage({ open: true });
  await opened;
}

function restart() {
  worker.terminate();
  ready = openModel();
}

async function next() {
  if (busy || waiting.length === 0) return;
  busy = true;
  const question = waiting[0];
  try {
    await (ready ??= openModel());
  } catch (error) {
    return finish(() => question.reject(error));
  }
  if (question.left) return finish(() => {});
  question.begun = true;
  worker.postMessage({ id: question.id, question: question.text });
}

function finish(tell) {
  busy = false;
  const [question] = waiting.splice(0, 1);
  question.done = true;
  tell(question);
  next();
}

/** What the thread says about the question that it answers. */
function heard({ id, frame, answer, error, broken }) {
  const question = waiting[0];
  if (question?.id !== id) return;
  if (frame !== undefined) {
    if (!question.left) question.onFrame?.(JSON.parse(frame));
    return;
  }
  if (broken) restart();
  const told = error === undefined ? JSON.parse(answer) : { error: { message: error } };
  finish(() => (told.error ? question.reject(new Error(told.error.message)) : question.resolve(told.answer)));
}

/** Nobody waits for this answer any more. */
function leave(question) {
  question.left = true;
  question.reject(new DOMException("no longer wanted", "AbortError"));
  if (!question.begun) {
    const at = waiting.indexOf(question);
    if (at > 0 || (at === 0 && !busy)) waiting.splice(at, 1);
    return;
  }
  setTimeout(() => {
    if (question.done) return;
    restart();
    finish(() => {});
  }, PATIENCE);
}

/** Asks the model in this page, as `askServer` asks a server. */
function ask(question, { signal, onFrame } = {}) {
  return new Promise((resolve, reject) => {
    const asking = { id: asked++, text: JSON.stringify(question), onFrame, resolve, reject };
    waiting.push(asking);
    if (signal?.aborted) leave(asking);
    else signal?.addEventListener("abort", () => asking.done || leave(asking), { once: true });
    next();
  });
}

/** `{ card, ask }` in a page that stands alone, else null. */
export const alone = card ? { card, ask } : null;

if (alone) {
  globalThis.glassAlone.ask = ask;
  // The model is made ready while the reader looks around.
  ready = openModel();
  ready.catch(() => {});
}
