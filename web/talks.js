// The list of conversations.

import { app, changed, on } from "./app.js";
import { ask, find, make } from "./dom.js";
import { exportTalk, importFile } from "./files.js";
import { keep, remove } from "./keeping.js";
import { remember } from "./store.js";
import * as tree from "./tree.js";

function render() {
  const talks = [...app.talks.values()].sort((a, b) => b.created - a.created);
  const focused = document.activeElement?.dataset.talk;
  const items = talks.map((talk) => {
    const open = () => {
      changed("open", talk);
      showList(false);
    };
    const button = make("button", { type: "button", "data-talk": talk.id, onclick: open, "aria-current": talk === app.talk && "page" }, tree.title(talk));
    return make("li", {}, button);
  });
  // What can be done with the open conversation stands below its name.
  const acts = find("talk-acts");
  const held = acts.contains(document.activeElement) ? document.activeElement : null;
  const at = talks.indexOf(app.talk);
  acts.hidden = at < 0;
  find("talks").append(acts);
  find("talk-list").replaceChildren(...items);
  items[at]?.append(acts);
  held?.focus();
  if (focused) document.querySelector(`[data-talk="${focused}"]`)?.focus();
  if (!app.talk) return;
  const title = tree.title(app.talk);
  find("title").textContent = title;
  document.title = `${title} – Glass`;
}

/** On narrow screens the list lies over the conversation. */
function showList(open) {
  document.body.classList.toggle("with-talks", open);
  find("talks-open").setAttribute("aria-expanded", open);
  if (open) find("new").focus();
}

async function rename() {
  const input = make("input", { id: "new-title", maxlength: 120, value: tree.title(app.talk) });
  const body = make("div", {}, make("label", { for: "new-title" }, "Name of this conversation"), input);
  const { talk } = app;
  if (!(await ask("Rename", body, [{ label: "Cancel", value: "" }, { label: "Rename", value: "ok", primary: true }]))) return;
  talk.title = input.value.trim();
  keep(talk);
  changed("talks");
}

async function erase() {
  const { talk } = app;
  const body = make("p", {}, `“${tree.title(talk)}” and all its versions are removed from this browser. This cannot be undone.`);
  if (!(await ask("Delete this conversation?", body, [{ label: "Keep it", value: "" }, { label: "Delete", value: "ok", primary: true }]))) return;
  app.running.get(talk.id)?.abort();
  await remove(talk);
  const next = [...app.talks.values()].sort((a, b) => b.created - a.created)[0];
  changed("open", next ?? tree.newConversation({}));
  find("question").focus();
}

export function startTalks() {
  find("new").addEventListener("click", () => {
    changed("open", tree.newConversation({}));
    showList(false);
    find("question").focus();
  });
  find("talks-open").addEventListener("click", () => showList(true));
  find("talks-close").addEventListener("click", () => {
    showList(false);
    find("talks-open").focus();
  });
  find("talks").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("with-talks")) find("talks-close").click();
  });
  find("rename").addEventListener("click", rename);
  find("delete").addEventListener("click", erase);
  find("export").addEventListener("click", () => exportTalk(app.talk));
  find("import").addEventListener("click", () => find("import-file").click());
  find("import-file").addEventListener("change", async ({ target }) => {
    if (target.files[0]) await importFile(target.files[0]);
    target.value = "";
  });
  on("talks talk", render);
  on("open", (talk) => {
    app.talk = talk;
    remember("open", talk.id);
    changed("opened");
    changed("talk");
  });
}
