// What the model writes, by step.

import { make } from "../dom.js";

export function samples() {
  const out = make("div", { class: "sample", "data-sample": "" });
  const slide = make("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": "Which sample", "data-sample-slider": "" });
  const name = make("output", {});
  const controls = make("div", { class: "slider" }, make("span", { class: "slider-label", "aria-hidden": "true" }, "Step"), slide, name);
  const element = make("section", { class: "run-part", "data-run": "samples" }, make("h2", {}, "What it writes"), controls, out);
  let all = [];
  let follow = true;

  function tell() {
    const at = Number(slide.value);
    const sample = all[at];
    if (!sample) return;
    name.textContent = sample.step.toLocaleString("en");
    slide.setAttribute("aria-valuetext", `step ${sample.step}`);
    out.textContent = sample.text;
  }
  slide.addEventListener("input", () => {
    follow = Number(slide.value) === all.length - 1;
    tell();
  });
  function draw({ samples }) {
    if (samples.length === all.length && samples.length) return;
    all = samples;
    controls.hidden = !all.length;
    if (!all.length) return void (out.textContent = "No sample yet. They are written at every evaluation.");
    slide.max = String(all.length - 1);
    if (follow) slide.value = slide.max;
    tell();
  }
  return { element, draw };
}
