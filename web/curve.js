// The whole vocabulary as a curve: probability over rank, both on logarithmic scales.

const LEFT = 46;
const BOTTOM = 20;
const TOP = 8;
const RIGHT = 6;

/**
 * Draws into `canvas`. raw(place) and drawn(place) give probabilities by rank (from 0), the second one 0 where a token
 * is no longer drawn; chosen is the place of the chosen token.
 */
export function drawCurve(canvas, { size, raw, drawn, kept, chosen }) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const { width, height } = canvas.getBoundingClientRect();
  if (!width) return;
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = `11px ${style.fontFamily}`;

  const lowest = Math.min(-3, Math.max(-9, Math.floor(Math.log10(raw(Math.min(size - 1, 400)) || 1e-9))));
  const x = (place) => LEFT + ((width - LEFT - RIGHT) * Math.log(place + 1)) / Math.log(size);
  const y = (p) => TOP + ((height - TOP - BOTTOM) * Math.min(1, Math.log10(Math.max(p, 1e-30)) / lowest));
  const floor = y(10 ** lowest);

  pen.fillStyle = colour("faint");
  pen.strokeStyle = colour("grid");
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let power = 0; power >= lowest; power -= Math.max(1, Math.round(-lowest / 4))) {
    line(pen, LEFT, y(10 ** power), width - RIGHT, y(10 ** power));
    pen.fillText(power > -3 ? `${100 * 10 ** power} %` : `10${superscript(power)}`, LEFT - 6, y(10 ** power));
  }
  pen.textBaseline = "alphabetic";
  pen.textAlign = "center";
  for (let rank = 1; rank <= size; rank *= 10) pen.fillText(rank.toLocaleString("en"), Math.max(x(rank - 1), LEFT + 3), height - 5);

  // Every pixel is reached; ranks between pixels are not needed.
  const places = [];
  for (let px = LEFT; px <= width - RIGHT; px += 0.5) {
    const place = Math.round(size ** ((px - LEFT) / (width - LEFT - RIGHT))) - 1;
    if (place !== places.at(-1) && place < size) places.push(place);
  }
  trace(pen, places, (place) => [x(place), y(raw(place))]);
  pen.lineWidth = 1.2;
  pen.strokeStyle = colour("faint");
  pen.stroke();

  const remaining = places.filter((place) => place < kept);
  if (kept && remaining.at(-1) !== kept - 1) remaining.push(kept - 1);
  const edge = Math.max(x(kept - 1), LEFT + 2);
  trace(pen, remaining, (place) => [x(place), y(drawn(place))]);
  if (kept === 1) pen.lineTo(edge, y(drawn(0)));
  pen.lineWidth = 2;
  pen.strokeStyle = colour("data");
  pen.stroke();
  pen.lineTo(edge, floor);
  pen.lineTo(LEFT, floor);
  pen.globalAlpha = 0.18;
  pen.fillStyle = colour("data");
  pen.fill();
  pen.globalAlpha = 1;
  if (kept < size) {
    pen.setLineDash([3, 3]);
    pen.lineWidth = 1;
    line(pen, edge, y(drawn(kept - 1)), edge, floor);
    pen.setLineDash([]);
  }
  const p = chosen < kept ? drawn(chosen) : raw(chosen);
  pen.beginPath();
  pen.arc(Math.max(x(chosen), LEFT + 1), y(p), 4.5, 0, 2 * Math.PI);
  pen.fillStyle = colour("paper");
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = chosen < kept ? colour("data") : colour("ink");
  pen.stroke();
}

function trace(pen, places, at) {
  pen.beginPath();
  places.forEach((place, i) => (i ? pen.lineTo(...at(place)) : pen.moveTo(...at(place))));
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, Math.round(y0) + 0.5);
  pen.lineTo(x1, Math.round(y1) + 0.5);
  pen.stroke();
}

const superscript = (n) => String(n).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
