// The four controls over a distribution. They change what is shown, not how answers are drawn.

import { make } from "./dom.js";

/** Slider positions and values. Further right always keeps more. */
const SLIDERS = [
  { name: "temperature", label: "Temperature", max: 200, value: (at) => at / 100, at: (v) => v * 100, say: (v) => v.toFixed(2) },
  {
    name: "top_k",
    label: "Top-k",
    max: 100,
    value: (at, size) => (at >= 100 ? 0 : Math.round(size ** (at / 100))),
    at: (v, size) => (v === 0 || v >= size ? 100 : (100 * Math.log(v)) / Math.log(size)),
    say: (v) => (v === 0 ? "all" : v.toLocaleString("en")),
  },
  { name: "top_p", label: "Top-p", max: 100, value: (at) => at / 100, at: (v) => v * 100, say: (v) => (v === 1 ? "1 (all)" : v.toFixed(2)) },
  { name: "min_p", label: "Min-p", max: 100, value: (at) => (1 - at / 100) ** 2, at: (v) => 100 * (1 - Math.sqrt(v)), say: (v) => (v === 0 ? "0 (all)" : v < 0.01 ? v.toFixed(4) : v.toFixed(2)) },
];

export const NEUTRAL = { temperature: 1, top_k: 0, top_p: 1, min_p: 0 };

/** Makes the controls; `moved()` is called when one moves. `prefix` begins their ids. */
export function makeControls(moved, prefix = "control") {
  let values = { ...NEUTRAL };
  let size = 2;
  const rows = SLIDERS.map((slider) => {
    const id = `${prefix}-${slider.name}`;
    const input = make("input", { id, type: "range", min: 0, max: slider.max, step: 1 });
    const output = make("output", { for: id });
    input.addEventListener("input", () => {
      values = { ...values, [slider.name]: slider.value(Number(input.value), size) };
      show();
      moved();
    });
    return { slider, input, output, row: make("div", { class: "control" }, make("label", { for: id }, slider.label), input, output) };
  });

  function show() {
    for (const { slider, input, output } of rows) {
      const said = slider.say(values[slider.name]);
      output.textContent = said;
      input.setAttribute("aria-valuetext", said);
    }
  }

  function set(next, vocabulary) {
    size = vocabulary;
    values = Object.fromEntries(SLIDERS.map(({ name }) => [name, next[name] ?? NEUTRAL[name]]));
    for (const { slider, input } of rows) input.value = slider.at(values[slider.name], size);
    show();
  }

  return { element: make("div", { class: "controls" }, ...rows.map(({ row }) => row)), set, get values() { return values; } };
}
