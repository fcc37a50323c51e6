// Numbers as they come and as they are written.

/** `{ rows, cols, f32 }` as it comes → `{ rows, cols, data: Float32Array, at(r, c), row(r) }`. */
export function matrix({ rows, cols, f32 }) {
  const text = atob(f32);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  const data = littleEndian ? new Float32Array(bytes.buffer) : swapped(bytes);
  return { rows, cols, data, at: (r, c) => data[r * cols + c], row: (r) => data.subarray(r * cols, (r + 1) * cols) };
}

/** A matrix of one row as its values. */
export const values = (object) => matrix(object).data;

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function swapped(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

/** A number with a true minus sign and as many decimals as its size deserves (`digits` significant ones, 3 at first). */
export function format(value, digits = 3) {
  if (value === -Infinity) return "−∞";
  if (!Number.isFinite(value)) return value === Infinity ? "∞" : "no number";
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size >= 1e6 || size < 1e-4) text = scientific(size, digits);
  else if (size >= 10 ** (digits - 1)) text = size.toFixed(0);
  else text = size.toFixed(Math.min(6, Math.max(0, digits - 1 - Math.floor(Math.log10(size)))));
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

function scientific(size, digits) {
  const [front, power] = size.toExponential(digits - 1).split("e");
  return `${front}·10${superscript(Number(power))}`;
}

const superscript = (n) =>
  String(n)
    .replace("-", "⁻")
    .replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);

/** As `format`, with a plus sign for what is above zero. */
export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + format(value, digits);

/** A probability in percent, with more digits near 0 and 1. */
export function percent(p) {
  if (p === 0) return "0 %";
  if (p >= 0.99995) return "100 %";
  if (p >= 0.9995) return `${(100 * p).toFixed(2)} %`;
  if (p >= 0.0995) return `${(100 * p).toFixed(1)} %`;
  if (p >= 0.001) return `${(100 * p).toFixed(2)} %`;
  if (p >= 1e-6) return `${(100 * p).toPrecision(2).replace(/e.*/, "")} %`;
  return `${scientific(100 * p, 2)} %`;
}

/** A whole number with separators: 12,288. */
export const whole = (n) => Math.round(n).toLocaleString("en");

/** A size in bytes: 1.2 MB. */
export function bytes(n) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) [n, at] = [n / 1000, at + 1];
  return `${at === 0 ? whole(n) : n.toPrecision(3)} ${units[at]}`;
}

/** The largest magnitude of some numbers, infinities aside; at least `least`. */
export function most(numbers, least = 1e-9) {
  let found = least;
  for (const value of numbers) if (Math.abs(value) > found && Number.isFinite(value)) found = Math.abs(value);
  return found;
}

export const length = (numbers) => Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0));
