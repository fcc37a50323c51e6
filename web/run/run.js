// A training that is watched: its curve, its samples by step, its heads forming. Asks again every few seconds, only while
// it is open.

import { make } from "../dom.js";
import { ask } from "../engine.js";
import { whole } from "../draw/numbers.js";
import { heads } from "./heads.js";
import { losses } from "./losses.js";
import { samples } from "./samples.js";

const EVERY = 3_000;

export const element = document.getElementById("run");

const run = { log: [], samples: [], looks: [], name: "", alive: false, quiet: null, last: null };
const status = make("p", { class: "run-status", role: "status", "data-run-status": "" });
const parts = [losses(), samples(), heads()];
let timer = null;
let built = false;

export function show() {
  if (!built) {
    built = true;
    element.append(make("div", { class: "run-page" }, make("h1", {}, "A training, watched"), status, ...parts.map((part) => part.element)));
  }
  clearTimeout(timer);
  poll();
}

export function hide() {
  clearTimeout(timer);
}

async function poll() {
  try {
    // Samples may come later than the line of their step, so the last steps are asked for again.
    const since = Math.max(0, Math.min(...["log", "samples", "looks"].map((name) => run[name].at(-1)?.step ?? 0)) - 1);
    const found = await ask({ ask: "run", since });
    for (const name of ["log", "samples", "looks"]) run[name] = joined(run[name], found[name], since);
    Object.assign(run, { name: found.name, alive: found.alive, quiet: found.quiet, last: found.last ?? run.last });
    tell();
    for (const part of parts) part.draw(run);
  } catch (error) {
    status.textContent = error.message;
  }
  if (!element.hidden) timer = setTimeout(poll, EVERY);
}

/** Old lines up to a step, and the new ones. A run that began anew has smaller steps: then only the new ones count. */
function joined(old, fresh, since) {
  return [...old.filter(({ step }) => step <= since), ...fresh.filter(({ step }) => step > since || since === 0)];
}

function tell() {
  const { last, alive, quiet, name } = run;
  if (!last) return void (status.textContent = `${name}: nothing has been logged yet.`);
  const loss = Number.isFinite(last.loss) ? `, loss ${last.loss.toFixed(3)}` : "";
  const state = alive ? "It is running" : `It has ended or waits${quiet === null ? "" : ` (nothing new for ${ago(quiet)})`}`;
  status.textContent = `${name} · step ${whole(last.step)}${loss}. ${state}.`;
}

const ago = (seconds) => (seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`);
