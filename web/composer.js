// Where a question is written: the draft, what it costs, sending and stopping.

import { app, changed, on } from "./app.js";
import { answer, stop } from "./answering.js";
import { healthy, servedModel } from "./api.js";
import { find, later, make } from "./dom.js";
import { fit } from "./fit.js";
import { keep } from "./keeping.js";
import { resolved, summary } from "./settings.js";
import { recall, remember } from "./store.js";
import { leftOut } from "./thread.js";
import * as tree from "./tree.js";

const draftKey = () => `draft-${app.talk.id}`;

async function send() {
  const area = find("question");
  const { talk } = app;
  if (!app.model || app.running.has(talk.id) || !area.value.trim()) return;
  // A system prompt that is still being written counts as well.
  document.querySelector("#system .editor .primary")?.click();
  const last = tree.path(talk).at(-1) ?? talk.nodes.root;
  const question = tree.add(talk, last.id, { role: "user", content: area.value });
  area.value = "";
  remember(draftKey(), "");
  resize();
  keep(talk);
  changed("talks");
  notice("");
  await answer(talk, question);
}

/** A remark above the question, with something to do about it. */
export function notice(text, act) {
  const children = text ? [make("span", {}, text)] : [];
  if (act) children.push(make("button", { type: "button", class: "quiet", onclick: act.run }, act.label));
  if (text) children.push(make("button", { type: "button", class: "quiet", onclick: () => notice("") }, "Dismiss"));
  find("notice").replaceChildren(...children);
}

/** Counts tokens, and finds what the next prompt leaves out. */
let measuring = null;
async function measure() {
  measuring?.abort();
  if (!app.model || !app.talk || app.running.has(app.talk.id)) return;
  const { talk, model } = app;
  const control = (measuring = new AbortController());
  const draft = find("question").value;
  const nodes = tree.path(talk);
  const next = draft.trim() ? [...nodes, { id: "draft", role: "user", content: draft }] : nodes;
  const { max_tokens: room } = resolved(model, talk.settings);
  try {
    const plan = next.length || (talk.system && model.chat) ? await fit(model, talk.system, next, room, control.signal) : { tokens: [], left: [], kept: [], fits: true };
    if (control.signal.aborted || talk !== app.talk) return;
    app.plan = { ...plan, talk };
    showMeter(plan.tokens.length, room, plan.fits);
    showLeft(plan);
    changed("plan");
  } catch (error) {
    if (!control.signal.aborted && error.kind === "away") changed("away");
  }
}

function showMeter(used, room, fits) {
  const { context } = app.model;
  const share = (n) => String(Math.min(100, (100 * n) / context));
  find("meter").querySelector(".used").setAttribute("width", share(used));
  find("meter").querySelector(".room").setAttribute("width", share(used + room));
  const spare = fits ? `room for ${room} more` : `no room for ${room} more`;
  find("meter-text").textContent = `${used.toLocaleString("en")} of ${context.toLocaleString("en")} tokens, ${spare}`;
}

/** Says what the next prompt leaves out. */
function showLeft(plan) {
  find("meter").classList.toggle("full", !plan.fits || plan.left.length > 0);
  const said = plan.left.length ? leftOut(plan.left, "the next prompt") : plan.fits ? "" : "This question does not fit with so long an answer. Shorten it, or lower “at most tokens”.";
  if (find("left-out").textContent !== said) find("left-out").textContent = said;
}

function resize() {
  const area = find("question");
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight / 3)}px`;
}

function showRunning() {
  const running = Boolean(app.talk && app.running.has(app.talk.id));
  const focused = document.activeElement;
  find("send").hidden = running;
  find("stop").hidden = !running;
  // A button that vanishes must not take the focus with it.
  if (running && focused === find("send")) find("stop").focus();
  if (!running && focused === find("stop")) find("question").focus();
}

let watching = null;

/** Says that the server is away, and when it is back. */
async function watch() {
  // A stream may break off although the server is well.
  if (watching || (await healthy()) || watching) return;
  notice("The server cannot be reached. Nothing you typed is lost; this page tries again every few seconds.");
  watching = setInterval(async () => {
    if (!(await healthy())) return;
    clearInterval(watching);
    watching = null;
    try {
      app.model = await servedModel();
      notice("The server is back.");
      changed("model");
    } catch (error) {
      notice(error.message);
    }
  }, 2500);
}

export function startComposer() {
  const area = find("question");
  const measureSoon = later(250, measure);
  find("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  area.addEventListener("keydown", (event) => {
    // Enter also confirms a word in an input method, and then sends nothing.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  area.addEventListener("input", () => {
    remember(draftKey(), area.value);
    resize();
    measureSoon();
  });
  find("stop").addEventListener("click", stop);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && app.talk && app.running.has(app.talk.id) && !document.querySelector("dialog[open]")) stop();
  });
  on("opened", () => {
    area.value = recall(draftKey());
    resize();
    if (!app.model) return;
    showMeter(0, 0, true);
    showLeft({ fits: true, left: [] });
    find("meter-text").textContent = "Counting tokens…";
  });
  on("tokens", ({ node }) => {
    if (!node.prompt || app.talk.nodes[node.id] !== node) return;
    showMeter(node.prompt.length + node.tokens.length, node.sent.max_tokens - node.tokens.length, true);
  });
  on("talk model settings running", () => {
    showRunning();
    measureSoon();
  });
  on("talk model settings", () => {
    if (!app.model || !app.talk) return;
    find("summary").textContent = summary(app.model, resolved(app.model, app.talk.settings));
    const text = app.model.chat ? "Question" : "Text to continue";
    find("question-label").textContent = text;
    area.placeholder = app.model.chat ? "Ask something" : "Write the beginning of a text";
    find("send").textContent = app.model.chat ? "Send" : "Continue";
  });
  on("away", watch);
  on("notice", ({ text, act, brief }) => {
    notice(text, act);
    if (brief) setTimeout(() => find("notice").textContent.startsWith(text) && notice(""), 2500);
  });
}
