// A view of the place "Flow", opened within a chapter on the chapter's text.

import { make } from "../dom.js";
import { makeStore, toParameters } from "../flow/store.js";
import { go } from "../places.js";
import { VIEWS } from "./views.js";

/** A fold that makes the view `id` when it is opened first. `start` (or a promise of it): `{ position, block, head }`. */
export function closer(lesson, id, start, title) {
  const view = VIEWS[id];
  if (!view) return null;
  const host = make("div", { class: "closer-host" });
  const fold = make("details", { class: "closer", "data-closer": id }, make("summary", {}, title), host);
  let made = false;
  fold.addEventListener("toggle", async () => {
    if (made || !fold.open) return;
    made = true;
    try {
      const { ids = lesson.ids, position, block, head } = await start;
      const chosen = Object.fromEntries(Object.entries({ position, block, head }).filter(([, value]) => value !== undefined));
      const store = makeStore({ ids, ...chosen });
      await store.ready;
      // What a text brings with it has been chosen by now.
      store.set(chosen);
      // What asks for another view (a change, a head) goes on in the place "Flow".
      host.addEventListener("glass-open", ({ detail }) => go("flow", { view: detail, ...toParameters(store.state) }));
      view.make(host, store);
    } catch (error) {
      host.replaceChildren(make("p", { class: "trouble" }, error.message));
    }
  });
  return fold;
}
