// Links to answers: making one, and opening one, which asks again and compares.

import { app, changed } from "./app.js";
import { run } from "./answering.js";
import { announce, ask, make } from "./dom.js";
import { messagesOf } from "./fit.js";
import { keep } from "./keeping.js";
import { compare, decode, encode } from "./link.js";
import { textOf } from "./pieces.js";
import * as tree from "./tree.js";

/** Puts a link to `node` into the clipboard, or shows it where there is none. */
export async function copyLink(talk, node) {
  const left = new Set(node.left ?? []);
  const before = tree.upTo(talk, talk.nodes[node.parent]).filter(({ id }) => !left.has(id));
  // The system prompt may have been changed since.
  const asked = app.model?.chat === false ? { prompt: before.map(({ content }) => content).join("") } : { messages: messagesOf(node.system, before) };
  const fragment = await encode({ ...asked, ...node, stopped: node.state === "stopped" });
  const link = new URL(fragment, location.href).href;
  const said = "The link holds this conversation up to the answer. It opens on this server, and shows whether the answer is the same.";
  try {
    await navigator.clipboard.writeText(link);
    announce(`Link copied. ${said}`);
    changed("notice", { text: `Link copied. ${said}` });
  } catch {
    const field = make("input", { id: "link", readonly: true, value: link, "aria-describedby": "link-note" });
    const body = make("div", {}, make("label", { for: "link" }, "Copy this:"), field, make("p", { class: "note", id: "link-note" }, said));
    await ask("Link to this answer", body, [{ label: "Close", value: "ok", primary: true }]);
  }
}

/** Opens the answer of the page's address, if it holds one. Returns whether it does. */
export async function openLink() {
  let link;
  try {
    link = await decode(location.hash);
  } catch (error) {
    changed("notice", { text: `The link is damaged and cannot be opened (${error.message}).` });
  }
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  if (!link) return false;
  const { talk, question } = asTalk(link);
  app.talks.set(talk.id, talk);
  changed("open", talk);
  keep(talk);
  if (link.model.digest === app.model.digest) await replay(talk, question, link);
  else otherModel(talk, question, link);
  return true;
}

/** The conversation of a link, without its answer. */
function asTalk(link) {
  const { seed, ...settings } = link.sent;
  const talk = tree.newConversation({ ...settings, stop: settings.stop ?? [] });
  const messages = link.messages ?? [{ role: "user", content: link.prompt }];
  let at = talk.nodes.root;
  for (const { role, content } of messages) {
    if (role === "system") talk.system = content;
    else at = tree.add(talk, at.id, { role: role === "user" ? "user" : "assistant", content });
  }
  return { talk, question: at };
}

const short = (digest) => digest.slice(0, 12);

function otherModel(talk, question, { model }) {
  const now = app.model;
  const text = `This answer was made by ${model.id} (${short(model.digest)}). This server has ${now.id} (${short(now.digest)}), which answers otherwise, so it was not asked.`;
  question.trouble = text;
  changed("talk");
  announce(text);
}

/** Asks as the link says, and says whether the answer is the same. */
async function replay(talk, question, link) {
  const { messages, prompt, sent } = link;
  const asked = app.model.chat ? { messages } : { prompt };
  const node = await run(talk, question, async () => ({ ...asked, ...sent, left: [] }));
  if (!node) return;
  node.verdict = node.state === "done" ? verdict(link, node) : { same: false, text: "The answer did not come to its end, so nothing can be compared." };
  if (link.stopped && node.verdict.same) node.verdict.text += " The answer in the link was stopped there.";
  await keep(talk);
  changed("talk");
  announce(node.verdict.text);
}

function verdict(link, node) {
  const { same, at } = compare(link, node);
  if (same) return { same, text: "Restored: the same bytes as in the link." };
  if (at === null || at === undefined) return { same, text: "Another answer than in the link, although the model is the same; where it first differs does not show." };
  const token = node.tokens[at];
  const found = token ? `here it is “${textOf(token.raw)}”` : "here the answer ends";
  return { same, text: `Another answer than in the link, although the model is the same. It first differs at token ${at + 1}: ${found}.` };
}
