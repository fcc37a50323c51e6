// What a chapter works with: the model, the reader's text as tokens, and what has been opened.

import { ask } from "../engine.js";
import { quoted } from "./words.js";

/** The text that the course begins with. */
export const FIRST_TEXT = "Lily had a big brown dog. Every day, she went to the park with her";

/** Guesses that were made, by chapter: kept while the page is open, so that another text does not close a chapter again. */
const open = new Map();

/** The ids that a model without a vocabulary begins with. */
export const FIRST_IDS = "40 50 60 70 80 40 50";

/** Tokens of a model without a vocabulary have no text; they are called by their ids. */
export function withNames(answer) {
  if (!answer || typeof answer !== "object") return answer;
  if (answer.id !== undefined && answer.text === "" && !answer.bytes?.length) answer.text = `#${answer.id}`;
  for (const part of Object.values(answer)) withNames(part);
  return answer;
}

export class Lesson {
  #leaving = new AbortController();
  #gates = new Set();

  constructor({ chapter, model, text, ids, tokens, fields, keep, done }) {
    Object.assign(this, { chapter, model, text, ids, tokens, done });
    this.fields = fields;
    this.keep = keep;
    if (!open.has(chapter.id)) open.set(chapter.id, new Set());
  }

  /** Asks the model; what is still computing when the reader leaves is ended. */
  async ask(question, onFrame) {
    const heard = onFrame && ((frame) => onFrame(withNames(frame)));
    return withNames(await ask(question, { signal: this.#leaving.signal, onFrame: heard }));
  }

  leave() {
    this.#leaving.abort();
  }

  get left() {
    return this.#leaving.signal.aborted;
  }

  get signal() {
    return this.#leaving.signal;
  }

  /** The last position, and its token. */
  get last() {
    return this.ids.length - 1;
  }

  /** The positions that hold text, without the start token. */
  get first() {
    return this.ids[0] === this.model.start && this.ids.length > 1 ? 1 : 0;
  }

  /** “dog” at a position; the start token by its name. */
  named(position) {
    if (position < this.first) return "the start token";
    return quoted(this.tokens[position]);
  }

  /** Whether the model has a vocabulary, so that it can be given words. */
  get hasWords() {
    return this.tokens.some(({ bytes }) => bytes?.length);
  }

  /** The tokens of another text. */
  async tokensOf(text) {
    return this.ask({ ask: "tokens", text });
  }

  /** Something more that a chapter lets the reader write; it stands in the link. */
  field(name, fallback) {
    return this.fields[name] ?? fallback;
  }

  setField(name, value) {
    this.fields[name] = value;
    this.keep();
  }

  /** A chapter without a guess is done when it is seen. */
  begun() {
    if (!this.#gates.size) this.done();
  }

  gate(name) {
    this.#gates.add(name);
  }

  wasOpen(name) {
    return open.get(this.chapter.id).has(name);
  }

  /** A guess was made, or skipped. With the last one the chapter is done. */
  opened(name) {
    const mine = open.get(this.chapter.id);
    mine.add(name);
    if ([...this.#gates].every((gate) => mine.has(gate))) this.done();
  }
}
