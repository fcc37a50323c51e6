// Starts the page: what is kept, the model, then the link or the last conversation.

import { app, changed, on } from "./app.js";
import { servedModel } from "./api.js";
import { startComposer } from "./composer.js";
import { startCourse } from "./course/place.js";
import { find } from "./dom.js";
import { startFlow } from "./flow/flow.js";
import { addView, startInside } from "./inside.js";
import { openAll } from "./keeping.js";
import { addPlace, openPlace, parse, startPlaces } from "./places.js";
import { openLink } from "./replay.js";
import { startRun } from "./run/place.js";
import { openSettings } from "./settings_sheet.js";
import { recall, remember } from "./store.js";
import { startTalks } from "./talks.js";
import { startThread } from "./thread.js";
import { startTokenView, tokenView } from "./token_view.js";
import { newConversation } from "./tree.js";

function startLooks() {
  const theme = find("theme");
  const apply = () => {
    document.documentElement.dataset.theme = theme.value;
    remember("theme", theme.value);
    changed("colours");
  };
  theme.value = recall("theme");
  theme.addEventListener("change", apply);
  apply();
  const shade = find("shade");
  const paint = (on) => {
    shade.setAttribute("aria-pressed", on);
    document.body.classList.toggle("shaded", on);
  };
  paint(recall("shade") === "yes");
  shade.addEventListener("click", () => {
    const now = shade.getAttribute("aria-pressed") !== "true";
    remember("shade", now ? "yes" : "");
    paint(now);
  });
}

function showModel() {
  const { id, digest, context, vocabulary } = app.model;
  find("model").textContent =
    `${id} · ${digest.slice(0, 12)} · context ${context.toLocaleString("en")} · vocabulary ${vocabulary.toLocaleString("en")}`;
}

async function findModel() {
  try {
    app.model = await servedModel();
    changed("model");
  } catch (error) {
    find("model").textContent = error.message;
    changed("away");
  }
}

/** Resolves once the model is known, perhaps after the server has come back. */
const modelKnown = () => (app.model ? Promise.resolve() : new Promise((resolve) => on("model", resolve)));

/** The places of the page, in the order of its navigation. */
function placesOfPage() {
  addPlace({ id: "chat", label: "Chat", element: null });
  startFlow();
  startCourse();
  startRun();
  startPlaces();
  find("skip").addEventListener("click", (event) => {
    event.preventDefault();
    (openPlace() === "chat" ? find("question") : document.querySelector("main:not([hidden])")).focus();
  });
}

/** Opens an answer's link, if the address is one. */
const answerLink = () => parse(location.hash).place === "chat" && openLink();

async function start() {
  startLooks();
  placesOfPage();
  startTalks();
  startThread();
  startComposer();
  startInside();
  startTokenView();
  addView(tokenView);
  on("model", showModel);
  find("settings").addEventListener("click", () => app.model && openSettings());
  await openAll();
  changed("open", app.talks.get(recall("open")) ?? newConversation({}));
  await findModel();
  await modelKnown();
  if (!(await answerLink()) && openPlace() === "chat" && matchMedia("(hover: hover)").matches) find("question").focus();
  // A link pasted into a page that is open already.
  addEventListener("hashchange", answerLink);
}

start();
