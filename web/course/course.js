// The place "Course": chapters in the order of the flow, on the reader's own text and the loaded model.

import { make, later, announce } from "../dom.js";
import { ask } from "../engine.js";
import { bindStore, makeStore } from "../flow/store.js";
import { recall, remember } from "../store.js";
import { CHAPTERS } from "./chapters.js";
import { FIRST_IDS, FIRST_TEXT, Lesson, withNames } from "./lesson.js";
import { sources } from "./sources.js";

let keepLink = () => {};
let model = null;
let lesson = null;
let state = { chapter: CHAPTERS[0].id, text: null, fields: {} };
let drawn = "";

const input = make("textarea", { id: "course-text", rows: "1", spellcheck: "false", "data-text": "", "aria-describedby": "course-text-note" });
const note = make("p", { id: "course-text-note", class: "note", role: "status" });
const contents = make("ol", {});
const toggle = make("button", { type: "button", class: "contents-toggle", "aria-expanded": "false", "aria-controls": "course-contents", "data-contents": "" });
const nav = make("nav", { id: "course-contents", "aria-label": "Chapters" }, contents);
const page = make("article", { class: "chapter", tabindex: "-1" });
const body = make("div", { class: "course-scroll", tabindex: "-1" }, page);
export const element = document.getElementById("course");

export function build() {
  const text = make("form", { class: "course-text" }, make("label", { for: "course-text" }, "Your text"), input, note);
  text.addEventListener("submit", (event) => event.preventDefault());
  element.append(make("h1", { class: "hidden" }, "Course"), toggle, nav, make("div", { class: "course-main" }, text, body));
}

/** Chapters that were done, by id. */
const done = () => new Set(recall("course-done").split(" ").filter(Boolean));

function markDone(id) {
  const all = done();
  if (all.has(id)) return;
  all.add(id);
  remember("course-done", [...all].join(" "));
  drawContents();
  announce(`Chapter done: ${CHAPTERS.find((one) => one.id === id).title}`);
}

function drawContents() {
  const finished = done();
  contents.replaceChildren(
    ...CHAPTERS.map(({ id, short }, at) => {
      const now = id === state.chapter;
      const mark = make("span", { class: "tick", "aria-hidden": "true" }, finished.has(id) ? "✓" : String(at + 1));
      return make("li", {}, make("button", { type: "button", "aria-current": now ? "page" : null, "data-go": id, class: finished.has(id) ? "done" : null, onclick: () => visit(id) }, mark, short, finished.has(id) && make("span", { class: "hidden" }, " (done)")));
    }),
  );
  const at = CHAPTERS.findIndex(({ id }) => id === state.chapter);
  toggle.replaceChildren(`${at + 1} of ${CHAPTERS.length} · ${CHAPTERS[at].short}`, make("span", { "aria-hidden": "true" }, " ▾"));
}

toggle.addEventListener("click", () => openContents(toggle.getAttribute("aria-expanded") !== "true"));

function openContents(yes) {
  toggle.setAttribute("aria-expanded", String(yes));
  element.classList.toggle("with-contents", yes);
}

/** Goes to a chapter. */
function visit(id) {
  openContents(false);
  if (id === state.chapter && drawn) return;
  state = { ...state, chapter: id, fields: {} };
  keep(true);
  draw().then(() => page.focus({ preventScroll: true }));
}

/** Notes the state in the address; a chapter is a step of the Back button. */
const keep = (step = false) => keepLink({ chapter: state.chapter, text: state.text, fields: state.fields }, step === true);

/** The text as tokens; for a model without a vocabulary, ids that are written out. */
async function read(text) {
  const ids = /^[\d\s,]+$/.test(text) ? text.split(/[\s,]+/).filter(Boolean).map(Number) : null;
  try {
    return await ask({ ask: "tokens", text });
  } catch (error) {
    if (!/no vocabulary/.test(error.message)) throw error;
    if (!ids?.length && text !== FIRST_TEXT) throw error;
    if (!ids?.length) {
      state.text = input.value = FIRST_IDS;
      return read(FIRST_IDS);
    }
    return withNames({ ids, ...(await ask({ ask: "pieces", ids })) });
  }
}

async function draw() {
  const wanted = JSON.stringify([state.chapter, state.text, state.fields]);
  drawn = wanted;
  drawContents();
  try {
    model ??= await ask({ ask: "model" });
    state.text ??= recall("course-text") || FIRST_TEXT;
    if (input.value !== state.text && document.activeElement !== input) input.value = state.text;
    grow();
    const found = await read(state.text);
    if (drawn !== wanted) return;
    const trouble = unfit(found.ids);
    note.textContent = trouble ?? `${found.ids.length} tokens for ${model.name}. Change the text, and every chapter follows.`;
    note.classList.toggle("trouble", Boolean(trouble));
    if (!trouble) fill(found);
  } catch (error) {
    note.textContent = /no vocabulary/.test(error.message) ? "This model has no vocabulary, so words cannot be given: write ids, such as 1 2 3." : error.message;
    note.classList.add("trouble");
  }
}

function unfit(ids) {
  if (ids.length < 3) return "Write a few words more.";
  if (ids.length > Math.min(model.context, 200)) return `${ids.length} tokens; the pictures of the course hold ${Math.min(model.context, 200)}.`;
  return null;
}

function fill({ ids, tokens }) {
  lesson?.leave();
  const at = CHAPTERS.findIndex(({ id }) => id === state.chapter);
  const chapter = CHAPTERS[at];
  lesson = new Lesson({ chapter, model, text: state.text, ids, tokens, fields: state.fields, keep, done: () => markDone(chapter.id) });
  // Numbers in the chapter are traced in this text.
  bindStore(page, makeStore({ ids }));
  const same = page.dataset.chapter === chapter.id;
  page.dataset.chapter = chapter.id;
  page.setAttribute("aria-labelledby", "chapter-title");
  const head = make("header", { class: "chapter-head" }, make("p", { class: "eyebrow" }, `Chapter ${at + 1} of ${CHAPTERS.length}`), make("h2", { id: "chapter-title" }, chapter.title));
  page.replaceChildren(head, ...chapter.make(lesson).filter(Boolean), sources(...chapter.sources), turning(at));
  lesson.begun();
  if (!same) body.scrollTop = 0;
}

/** Previous and next. */
function turning(at) {
  const button = (to, text, name, primary) => to && make("button", { type: "button", class: primary ? "primary" : null, [`data-${name}`]: to.id, onclick: () => visit(to.id) }, text);
  return make("nav", { class: "turning", "aria-label": "Next and previous chapter" }, button(CHAPTERS[at - 1], `← ${CHAPTERS[at - 1]?.short}`, "previous") || make("span"), button(CHAPTERS[at + 1], `${CHAPTERS[at + 1]?.short} →`, "next", true));
}

function grow() {
  input.style.height = "auto";
  if (input.scrollHeight) input.style.height = `${Math.min(input.scrollHeight + 2, 160)}px`;
}

const changed = later(350, () => {
  if (input.value.trim() === state.text?.trim()) return;
  state.text = input.value.trim() || FIRST_TEXT;
  remember("course-text", state.text === FIRST_TEXT ? "" : state.text);
  keep();
  draw();
});

input.addEventListener("input", () => {
  grow();
  changed();
});
// One line of text: Enter is no part of it, but it may be pasted.
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) event.preventDefault();
});

/** Shows what a link says: `{ chapter, text, fields }`. */
export function show(wanted) {
  state = {
    chapter: CHAPTERS.some(({ id }) => id === wanted.chapter) ? wanted.chapter : recall("course-chapter") || CHAPTERS[0].id,
    text: wanted.text ?? state.text,
    fields: { ...wanted.fields },
  };
  if (!CHAPTERS.some(({ id }) => id === state.chapter)) state.chapter = CHAPTERS[0].id;
  if (drawn !== JSON.stringify([state.chapter, state.text, state.fields])) draw();
}

/** How the link is kept, once the page's places are known. */
export const onLink = (f) => {
  keepLink = (link, step) => {
    remember("course-chapter", link.chapter);
    f(link, step);
  };
};
