// What went wrong, in words for the reader.

/** `kind` tells what can be done about it. */
export class Trouble extends Error {
  constructor(kind, message, wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait;
  }
}
