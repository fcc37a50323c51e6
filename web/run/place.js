// The place "Run": a training that is watched while it goes on. It is there if the program was told to watch one.

import { ask } from "../engine.js";
import { addPlace, parse } from "../places.js";
import { element, hide, show } from "./run.js";

export async function startRun() {
  try {
    const { run } = await ask({ ask: "model" });
    if (!run) return;
  } catch {
    return;
  }
  addPlace({ id: "run", label: "Run", element, show, hide });
  // The address may have named it before it was known: it is followed once more.
  const wanted = location.hash;
  if (parse(wanted).place === "run") ["#chat", wanted].forEach(follow);
}

function follow(fragment) {
  history.replaceState(null, "", fragment);
  dispatchEvent(new PopStateEvent("popstate"));
}
