// The panel beside the conversation: one tab for each view of the inside. A view is
// `{ id, label, element, show() }`; views of heads, blocks and the flow join here.

import { on } from "./app.js";
import { find, make } from "./dom.js";

const views = [];
let opener = null;

export function addView(view) {
  const tab = make("button", { type: "button", role: "tab", id: `tab-${view.id}`, "aria-controls": `view-${view.id}`, onclick: () => select(view) }, view.label);
  const panel = make("div", { role: "tabpanel", id: `view-${view.id}`, class: "view", tabindex: "-1", "aria-labelledby": tab.id }, view.element);
  views.push({ ...view, tab, panel });
  find("inside").querySelector("[role=tablist]").append(tab);
  find("inside").append(panel);
  select(views[0]);
}

function select(chosen) {
  for (const view of views) {
    const now = view.id === chosen.id;
    view.tab.setAttribute("aria-selected", now);
    view.tab.tabIndex = now ? 0 : -1;
    view.panel.hidden = !now;
    if (now) view.show();
  }
}

export function openInside(focus) {
  const panel = find("inside");
  if (panel.hidden) {
    opener = document.activeElement;
    panel.hidden = false;
    document.body.classList.add("with-inside");
    find("inside-open").setAttribute("aria-expanded", "true");
  }
  views.find(({ panel }) => !panel.hidden)?.show();
  // The panel takes room from the conversation.
  document.querySelector('.tokens [aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  if (focus) views.find(({ panel }) => !panel.hidden)?.panel.focus();
}

function close() {
  find("inside").hidden = true;
  document.body.classList.remove("with-inside");
  find("inside-open").setAttribute("aria-expanded", "false");
  // The element may have been drawn anew since.
  const back = opener?.isConnected ? opener : document.querySelector('[aria-current="true"]')?.closest(".tokens");
  (back ?? find("inside-open")).focus();
}

export function startInside() {
  find("inside-open").addEventListener("click", () => (find("inside").hidden ? openInside(true) : close()));
  find("inside-close").addEventListener("click", close);
  find("inside").addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || event.target.getAttribute("role") !== "tab") return;
    const at = views.findIndex(({ tab }) => tab === event.target);
    const next = views[(at + by + views.length) % views.length];
    select(next);
    next.tab.focus();
  });
  on("chosen", ({ focus }) => openInside(focus));
}
