// Tokens as bytes. A token is `{ id, raw, logprob? }`; `raw` holds one character (U+0000 to U+00FF) for each byte, so
// that bytes can be searched and kept as text.

const encoder = new TextEncoder();

export const rawOf = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
export const rawText = (text) => rawOf(encoder.encode(text));
export const bytesOf = (raw) => Uint8Array.from(raw, (c) => c.charCodeAt(0));
export const textOf = (raw) => new TextDecoder().decode(bytesOf(raw));

/** The bytes of a piece as the server gives it: text, or a list of bytes where these are no text. */
export const rawPiece = (piece) => (typeof piece === "string" ? rawText(piece) : rawOf(piece));

/** The bytes of a token in the old completions shape, which writes partial characters as `bytes:\xe2\x80`. */
export function rawToken(token) {
  const bytes = /^bytes:((\\x[0-9a-fA-F]{2})+)$/.exec(token);
  return bytes ? rawOf(bytes[1].slice(2).split("\\x").map((hex) => parseInt(hex, 16))) : rawText(token);
}

/** Whether a token is only a part of a character, or of several. */
export function isPartial(raw) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(raw));
    return false;
  } catch {
    return true;
  }
}

/** The length of the character that a byte begins; 0 inside a character. */
const characterLength = (byte) => (byte < 0x80 ? 1 : byte < 0xc0 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4);

/**
 * What each token shows: a character that spans several tokens is shown by its last one.
 * Returns a function that takes the tokens in turn and gives the text of each.
 */
export function shower() {
  const decoder = new TextDecoder();
  return (raw) => decoder.decode(bytesOf(raw), { stream: true });
}

/** The character that token `at` is a part of, and its tokens: `{ text, from, to }`; null for whole tokens. */
export function characterAround(tokens, at) {
  if (!isPartial(tokens[at].raw)) return null;
  // The bytes before this token that end an unfinished character.
  let from = at;
  while (from > 0 && characterLength(tokens[from].raw.charCodeAt(0)) === 0 && at - from < 4) from -= 1;
  let to = at;
  const joined = () => tokens.slice(from, to + 1).map(({ raw }) => raw).join("");
  while (to + 1 < tokens.length && isPartial(joined()) && to - from < 8) to += 1;
  return isPartial(joined()) ? { text: null, from, to: at } : { text: textOf(joined()), from, to };
}

/** White space and control characters made visible, for a token that stands alone. */
export function visible(text) {
  const shown = text.replace(/ /g, "␣").replace(/\r/g, "␍").replace(/\n/g, "↵").replace(/\t/g, "⇥");
  return shown.replace(/[\u0000-\u001f\u007f-\u009f\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]/g, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

export const hex = (raw) => Array.from(raw, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
