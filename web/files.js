// Conversations as files: out as JSON or Markdown, in as JSON.

import { app, changed } from "./app.js";
import { ask, count, make, save } from "./dom.js";
import { keep, plain } from "./keeping.js";
import * as tree from "./tree.js";

const fileName = (talk) => tree.title(talk).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "conversation";

export async function exportTalk(talk) {
  const body = make("p", {}, "JSON keeps everything, all versions and tokens, and can be imported again. Markdown has the text that is shown.");
  const buttons = [
    { label: "Cancel", value: "" },
    { label: "Everything as JSON", value: "all" },
    { label: "Markdown", value: "markdown" },
    { label: "JSON", value: "json", primary: true },
  ];
  const answer = await ask("Export", body, buttons);
  const json = (talks) => JSON.stringify({ glass: 1, conversations: talks.map(plain) }, null, 1);
  if (answer === "json") save(`${fileName(talk)}.json`, "application/json", json([talk]));
  if (answer === "all") save("conversations.json", "application/json", json([...app.talks.values()]));
  if (answer === "markdown") save(`${fileName(talk)}.md`, "text/markdown", markdown(talk));
}

function markdown(talk) {
  const parts = [`# ${tree.title(talk)}`];
  if (talk.system) parts.push("## System prompt", talk.system);
  for (const { role, content, model, sent } of tree.path(talk)) {
    parts.push(role === "user" ? "## Question" : "## Answer", content);
    if (sent) parts.push(`*${model.id}, seed ${sent.seed}, temperature ${sent.temperature}*`);
  }
  return `${parts.join("\n\n")}\n`;
}

export async function importFile(file) {
  try {
    const { conversations, glass } = JSON.parse(await file.text());
    if (glass !== 1 || !Array.isArray(conversations)) throw new Error("it holds no conversations of this page");
    const sound = conversations.filter(tree.isSound);
    for (const talk of sound) {
      // What is there already is not overwritten.
      if (app.talks.has(talk.id)) talk.id = tree.newId();
      talk.settings = typeof talk.settings === "object" && talk.settings ? talk.settings : {};
      await keep(talk);
    }
    if (sound.length) changed("open", sound.at(-1));
    const bad = conversations.length - sound.length;
    changed("notice", { text: `${count(sound.length, "conversation")} imported${bad ? `, ${bad} damaged and left out` : ""}.` });
  } catch (error) {
    changed("notice", { text: `${file.name} cannot be imported: ${error instanceof SyntaxError ? "it is not JSON" : error.message}.` });
  }
}
