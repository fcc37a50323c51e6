// The messages of the open conversation, from the system prompt to the last answer.

import { app, changed, on } from "./app.js";
import { answer } from "./answering.js";
import { choose, shown } from "./choosing.js";
import { announce, count, find, make } from "./dom.js";
import { openInFlow } from "./flow/flow.js";
import { fit, messagesOf, tokensOfMessages } from "./fit.js";
import { keep } from "./keeping.js";
import { copyLink } from "./replay.js";
import { recall, remember } from "./store.js";
import { GUESSED, tokenText } from "./tokens.js";
import * as tree from "./tree.js";

/** The texts that are shown, by node; and the texts that are being edited. */
const texts = new Map();
const editing = new Set();

const draftOf = (id) => `draft-${app.talk.id}-${id}`;

export function renderThread() {
  if (!app.talk) return;
  const focused = document.activeElement?.dataset.focus;
  texts.clear();
  shown.clear();
  const nodes = tree.path(app.talk);
  for (const { id } of [...nodes, { id: "system" }]) if (recall(draftOf(id))) editing.add(id);
  find("system").replaceChildren(...systemPrompt());
  find("thread").replaceChildren(...nodes.map(message));
  find("welcome").hidden = nodes.length > 0 || app.model?.chat === false;
  if (focused) document.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  markChosen();
  markLeftOut();
  mapTokens(nodes);
}

const button = (focus, label, onclick, more = {}) => make("button", { type: "button", class: "quiet", "data-focus": focus, onclick, ...more }, label);

function systemPrompt() {
  const heading = make("h2", { id: "system-label", class: "who" }, "System prompt");
  if (!app.model?.chat && app.model) {
    return [make("p", { class: "plain-model" }, "This model has no chat template, so it does not answer: it continues your text. What you write and what it adds are one text.")];
  }
  if (editing.has("system")) {
    const done = (text) => {
      app.talk.system = text;
      keep(app.talk);
      changed("talk");
    };
    return [heading, editor("system", app.talk.system, [{ label: "Keep", act: done }], "System prompt")];
  }
  const edit = button("edit-system", app.talk.system ? "Edit" : "Add a system prompt", () => startEdit("system"));
  return app.talk.system ? [heading, text("system", app.talk.system), make("div", { class: "row acts" }, edit)] : [heading, edit];
}

function message(node) {
  const who = node.role === "user" ? (app.model?.chat === false ? "Your text" : "You") : (node.model?.id ?? "Answer");
  const heading = make("h2", { class: "who" }, who, node.byHand && make("span", { class: "note" }, " edited by hand"));
  const item = make("li", { class: `message ${node.role}`, "data-node": node.id }, heading);
  if (editing.has(node.id)) item.append(edit(node));
  else item.append(text(node.id, node.content, node.tokens), status(node), acts(node));
  return item;
}

function text(id, content, tokens) {
  const label = id === "system" ? "System prompt" : app.talk.nodes[id].role === "user" ? "Question" : "Answer";
  const pick = (index, how) => choose(id, index, how === "enter");
  if (tokens?.length) {
    const made = tokenText({ tokens, label, pick });
    texts.set(id, made);
    const node = app.talk.nodes[id];
    if (node?.prompt && node.tokens === tokens) shown.set(id, { tokens: node.tokens, prefix: node.prompt, generated: true, sent: node.sent });
    return made.element;
  }
  return make("div", { class: "text", "data-plain": id }, content);
}

function status(node) {
  const line = make("p", { class: "status" });
  fillStatus(line, node);
  return line;
}

function fillStatus(line, node) {
  const parts = [];
  if (node.role === "user") {
    if (node.trouble) line.className = "status trouble";
    line.replaceChildren(...(node.trouble ? [node.trouble, " ", button(`again-${node.id}`, "Try again", () => answer(app.talk, node))] : []));
    return;
  }
  if (node.state === "waiting") parts.push(node.remark ?? "Reading the prompt…");
  if (node.tokens?.length) parts.push(count(node.tokens.length, "token"));
  if (node.rate) parts.push(`${node.rate.toFixed(node.rate < 10 ? 1 : 0)} tokens/s`);
  if (node.first !== undefined) parts.push(`first after ${node.first.toFixed(2)} s`);
  if (node.state === "done" && node.finish === "length") parts.push("ended by “at most tokens”");
  if (node.state === "stopped") parts.push("stopped by you");
  if (node.sent && node.state !== "writing" && node.state !== "waiting") parts.push(`seed ${node.sent.seed}`);
  line.replaceChildren(parts.join(" · "));
  if (node.guesses?.all) line.append(" · ", guesses(node.guesses));
  if (node.left?.length) line.append(make("span", { class: "block" }, leftOut(node.left.map((id) => app.talk.nodes[id]).filter(Boolean), "its prompt")));
  if (node.verdict) line.append(make("span", { class: `block verdict ${node.verdict.same ? "same" : "other"}`, role: "status" }, node.verdict.text));
  if (node.trouble) line.append(make("span", { class: "block trouble" }, `${node.trouble} What came is kept.`));
}

/** How many guesses were right, with the mark of the tokens that they were. */
function guesses({ all, right }) {
  const mark = make("span", { class: "guessed", "aria-hidden": "true" }, "ab");
  return make("span", { class: "guesses", title: `${GUESSED} No guess changes a token.` }, mark, ` ${right} of ${all} guesses right`);
}

/** Says which messages were left out. */
export function leftOut(nodes, where) {
  const said = nodes.map(({ role, content }) => (role === "user" ? `“${short(content)}”` : "its answer"));
  return `Left out of ${where}, because the context is full: ${said.join(", ")}.`;
}

const short = (text) => {
  const flat = [...text.trim().replace(/\s+/g, " ")];
  return flat.length > 40 ? `${flat.slice(0, 38).join("")}…` : flat.join("");
};

function acts(node) {
  const busy = app.running.has(app.talk.id);
  const row = make("div", { class: "row acts" });
  const { place, of } = tree.place(app.talk, node);
  if (of > 1) {
    const turn = (by) => () => {
      tree.choose(app.talk, node, by);
      const now = app.talk.nodes[app.talk.nodes[node.parent].chosen];
      keep(app.talk);
      changed("talk");
      announce(`${place + by + 1} of ${of}`);
      document.querySelector(`[data-focus="${by < 0 ? "back" : "on"}-${now.id}"]:not(:disabled), [data-focus="${by < 0 ? "on" : "back"}-${now.id}"]`)?.focus();
    };
    row.append(
      make(
        "span",
        { class: "branches", role: "group", "aria-label": "Versions" },
        button(`back-${node.id}`, "‹", turn(-1), { "aria-label": "Version before", disabled: busy || place === 0 }),
        make("span", {}, `${place + 1}/${of}`),
        button(`on-${node.id}`, "›", turn(1), { "aria-label": "Next version", disabled: busy || place === of - 1 }),
      ),
    );
  }
  if (node.role === "assistant") {
    const question = app.talk.nodes[node.parent];
    row.append(button(`again-${node.id}`, "Regenerate", () => answer(app.talk, question), { disabled: busy }));
  } else if (!node.children.length && !node.trouble) {
    row.append(button(`again-${node.id}`, "Answer", () => answer(app.talk, node), { disabled: busy }));
  }
  row.append(button(`edit-${node.id}`, "Edit", () => startEdit(node.id), { disabled: busy }));
  row.append(button(`copy-${node.id}`, "Copy", () => copy(node.content)));
  const linked = node.role === "assistant" && node.sent && node.tokens.length > 0 && (node.state === "done" || node.state === "stopped");
  if (linked) row.append(button(`link-${node.id}`, "Copy link", () => copyLink(app.talk, node)));
  row.append(button(`tokens-${node.id}`, "Tokens", () => choose(node.id, 0, true), { "aria-label": "Look at its tokens" }));
  row.append(button(`flow-${node.id}`, "Flow", () => messageInFlow(node), { "aria-label": "Open this message in the flow", hidden: !shown.has(node.id) }));
  return row;
}

/** Opens the exact tokens up to the end of a message in the flow. */
function messageInFlow(node) {
  const of = shown.get(node.id);
  if (of) openInFlow({ ids: [...of.prefix, ...of.tokens.map(({ id }) => id)] });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
    changed("notice", { text: "Copied.", brief: true });
  } catch {
    changed("notice", { text: "This browser does not let the page copy; select the text instead." });
  }
}

function startEdit(id) {
  editing.add(id);
  renderThread();
  document.querySelector(`[data-edit="${id}"]`)?.focus();
}

/** The editor of a message; its draft survives a reload. */
function editor(id, content, actions, label) {
  const area = make("textarea", { "data-edit": id, "data-focus": `area-${id}`, "aria-label": label, rows: "3" });
  area.value = recall(draftOf(id)) || content;
  const close = () => {
    editing.delete(id);
    remember(draftOf(id), "");
    changed("talk");
    document.querySelector(`[data-focus="edit-${id}"]`)?.focus();
  };
  area.addEventListener("input", () => remember(draftOf(id), area.value));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && area.value === content) close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.nextElementSibling.querySelector(".primary").click();
  });
  const row = make("div", { class: "row" });
  for (const { label, act } of actions) {
    const run = () => {
      const { value } = area;
      close();
      act(value);
    };
    row.append(make("button", { type: "button", class: row.childElementCount ? "" : "primary", onclick: run }, label));
  }
  row.append(make("button", { type: "button", class: "quiet", onclick: close }, "Cancel"));
  return make("div", { class: "editor" }, area, row);
}

function edit(node) {
  const sibling = (content) => tree.add(app.talk, node.parent, { role: node.role, content, ...(node.role === "assistant" && { byHand: true }) });
  const save = (content) => {
    sibling(content);
    keep(app.talk);
    changed("talk");
  };
  const actions =
    node.role === "user"
      ? [{ label: "Ask this", act: (content) => answer(app.talk, sibling(content)) }]
      : [{ label: "Keep as another version", act: save }];
  return editor(node.id, node.content, actions, node.role === "user" ? "Edit the question" : "Edit the answer");
}

// Tokens of what was typed, or edited, or imported: asked for when the messages are shown.

let mapping = null;

async function mapTokens(nodes) {
  mapping?.abort();
  const control = (mapping = new AbortController());
  if (!app.model) return;
  // While an answer is written its question is all that counts.
  const known = nodes.filter(({ state }) => state !== "waiting" && state !== "writing");
  try {
    await mapPart(known, control.signal);
    markChosen();
  } catch (error) {
    // Without the server the messages stay readable.
    if (control.signal.aborted) return;
    if (error.kind === "away") changed("away");
    else if (!error.kind) console.error(error);
  }
}

/** Maps what fits into one prompt, then what does not, as if the conversation had ended there. */
async function mapPart(nodes, signal) {
  const { talk } = app;
  if (!nodes.length && !(talk.system && app.model.chat)) return;
  const plan = await fit(app.model, talk.system, nodes, 0, signal);
  if (signal.aborted) return;
  const system = app.model.chat ? talk.system : "";
  const found = await tokensOfMessages(app.model, messagesOf(system, plan.kept), plan.tokens, signal);
  if (signal.aborted) return;
  const ids = [...(system ? ["system"] : []), ...plan.kept.map(({ id }) => id)];
  ids.forEach((id, i) => {
    const place = document.querySelector(`[data-plain="${id}"]`);
    if (!place || !found[i]?.tokens.length) return;
    const { first, tokens } = found[i];
    const prefix = plan.tokens.slice(0, first).map((token) => token.id);
    shown.set(id, { tokens, prefix, generated: false, sent: null });
    place.replaceWith(text(id, "", tokens));
    const flow = document.querySelector(`[data-focus="flow-${id}"]`);
    if (flow) flow.hidden = false;
  });
  if (plan.left.length) await mapPart(plan.left, signal);
}

function markChosen() {
  for (const [id, made] of texts) made.mark(app.chosen?.node === id ? app.chosen.index : null);
}

/** Fades what the next prompt leaves out. */
function markLeftOut() {
  const left = new Set(app.plan?.talk === app.talk ? app.plan.left.map(({ id }) => id) : []);
  for (const item of find("thread").children) item.classList.toggle("left", left.has(item.dataset.node));
}

function grow({ node, tokens }) {
  const item = document.querySelector(`[data-node="${node.id}"]`);
  if (!item) return;
  if (texts.has(node.id)) texts.get(node.id).grow(tokens);
  else if (node.tokens.length) item.querySelector(".text").replaceWith(text(node.id, "", node.tokens));
  fillStatus(item.querySelector(".status"), node);
  follow();
}

/** Scrolls along with an answer, unless the reader looks at something else. */
let following = true;
function follow() {
  const area = find("scroll");
  if (following) area.scrollTop = area.scrollHeight;
}

export function startThread() {
  const area = find("scroll");
  area.addEventListener("scroll", () => (following = area.scrollHeight - area.scrollTop - area.clientHeight < 60), { passive: true });
  on("talk model running", renderThread);
  on("talk", follow);
  on("tokens", grow);
  on("waiting", (node) => {
    const line = document.querySelector(`[data-node="${node.id}"] .status`);
    if (line) fillStatus(line, node);
  });
  on("chosen", markChosen);
  on("plan", markLeftOut);
  on("opened", () => {
    editing.clear();
    following = true;
  });
}
