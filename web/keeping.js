// Keeps conversations, and says so when the browser does not.

import { app, changed } from "./app.js";
import * as store from "./store.js";
import { isSound } from "./tree.js";

let complained = false;

/** Keeps a conversation; it stays in the page in any case. */
export async function keep(talk) {
  if (!app.talks.has(talk.id)) {
    app.talks.set(talk.id, talk);
    changed("talks");
  }
  try {
    await store.saveTalk(plain(talk));
    complained = false;
  } catch (error) {
    if (!complained) changed("notice", { text: store.whyNotKept(error) });
    complained = true;
  }
}

/** A conversation without what belongs to this moment only. */
export function plain(talk) {
  const nodes = Object.entries(talk.nodes).map(([id, node]) => {
    const { remark, trouble, ...rest } = node;
    // An error in mid-answer stays with it; one before it belongs to this visit.
    return [id, node.role === "assistant" && trouble ? { ...rest, trouble } : rest];
  });
  return { ...talk, nodes: Object.fromEntries(nodes) };
}

/** Answers that were being written when the page was closed. */
export function mend(talk) {
  for (const node of Object.values(talk.nodes)) {
    if (node.state === "waiting" || node.state === "writing") {
      node.state = "cut";
      node.trouble = "The page was closed in the middle of the answer.";
    }
  }
  return talk;
}

export async function openAll() {
  try {
    const talks = (await store.open()).filter(isSound);
    for (const talk of talks) app.talks.set(talk.id, mend(talk));
  } catch (error) {
    changed("notice", { text: store.whyNotKept(error) });
  }
  store.onOtherTabs(async ({ saved, deleted }) => {
    if (deleted) app.talks.delete(deleted);
    if (saved && !app.running.has(saved)) {
      const talk = await store.loadTalk(saved);
      if (talk && isSound(talk)) app.talks.set(saved, talk);
      if (talk && app.talk?.id === saved) {
        app.talk = talk;
        changed("talk");
      }
    }
    changed("talks");
  });
}

export async function remove(talk) {
  app.talks.delete(talk.id);
  store.forget(`draft-${talk.id}`);
  await store.deleteTalk(talk.id).catch(() => {});
}
