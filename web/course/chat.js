// Chapter 15: what a chat is: one text, with marks between the messages.

import { make } from "../dom.js";
import { chip } from "../draw/token_strip.js";
import { guess } from "./guess.js";
import { aside, figure, line, live, say, screen, strong, withWords } from "./parts.js";
import { percent, quoted, whole } from "./words.js";

const SYSTEM = "The hero of the story is called Otto.";
const QUESTION = "Tell me a story about a boat and a storm.";
const LENGTH = 60;

export const chapter = {
  id: "chat",
  short: "Chat",
  title: "System prompt and question: what a chat really is",
  sources: ["ouyang", "brown", "radford"],
  make(lesson) {
    if (!lesson.model.chat) return [screen("This model has no chat template", say("It continues texts; it was not taught a form for conversations. With the built-in model, this chapter shows one."), ...withWords(lesson, () => [plain(lesson)]))];
    const conversing = live(() => conversation(lesson));
    return [
      screen(
        "Three fields, one list",
        line(lesson, { name: "system", label: "System prompt", value: lesson.field("system", SYSTEM), change: conversing.again }),
        line(lesson, { name: "question", label: "Question", value: lesson.field("question", QUESTION), change: conversing.again }),
        conversing,
      ),
      screen("Without the marks", plain(lesson)),
    ];
  },
};

/** The conversation as tokens, and the messages' own tokens, which are found again in it. */
async function laidOut(lesson) {
  const messages = [["system", lesson.field("system", SYSTEM)], ["user", lesson.field("question", QUESTION)]].filter(([, content]) => content.trim()).map(([role, content]) => ({ role, content }));
  const [whole, ...parts] = await Promise.all([lesson.ask({ ask: "tokens", messages }), ...messages.map(({ content }) => lesson.ask({ ask: "tokens", text: content, start: false }))]);
  let from = 0;
  const roles = new Array(whole.ids.length).fill(null);
  parts.forEach(({ ids }, at) => {
    const found = find(whole.ids, ids, from);
    if (found < 0) return;
    roles.fill(messages[at].role, found, found + ids.length);
    from = found + ids.length;
  });
  return { ...whole, roles, own: roles.filter(Boolean).length };
}

function find(all, part, from) {
  for (let at = from; at + part.length <= all.length; at++) if (part.every((id, i) => all[at + i] === id)) return at;
  return -1;
}

function conversation(lesson) {
  const asked = laidOut(lesson);
  asked.catch(() => {});
  return guess(lesson, {
    name: "form",
    ask: "The system prompt, the question and the answer: how do they reach the model?",
    choices: [["three", "Through three inputs: the system prompt sets the model up, the question is asked, the answer comes out"], ["one", "As one list of tokens, which the model continues"], ["weights", "The system prompt changes the weights for this conversation"]],
    truth: async () => {
      const { ids, own } = await asked;
      return { value: "one", say: `One list of ${ids.length} tokens. ${own} are what you wrote; ${ids.length - own} are the template’s: marks and roles.` };
    },
    shown: () => [
      figure("All that the model gets. Tokens of the template have a double frame.", async () => laid(await asked), { name: "template", tall: 10 }),
      say("A ", strong("template"), " writes the messages into one text, with marks in between, and ends with the mark that begins an answer. The model does what it always does: it ", strong("continues"), ". It was trained on texts of this form, so what follows looks like an answer. A system prompt is the beginning of that text. It is obeyed as far as training made that likely; nothing forces it."),
      answer(lesson, asked),
    ],
  });
}

const laid = ({ tokens, roles }) => make("p", { class: "token-row laid" }, ...tokens.map((token, at) => chip(token, roles[at] ? `own ${roles[at]}` : "of-template")));

/** The model writes its answer, token by token, at the end of the list. */
function answer(lesson, asked) {
  const out = make("p", { class: "token-row laid answer", "data-answer": "" });
  const remark = make("p", { class: "note", role: "status" });
  const button = make("button", { type: "button", class: "primary", "data-continue": "" }, "Let the model continue");
  button.addEventListener("click", async () => {
    button.disabled = true;
    out.replaceChildren();
    remark.textContent = "";
    try {
      const { ids } = await asked;
      const { finish, ids: written } = await lesson.ask({ ask: "generate", ids, tokens: LENGTH, chat: true, seed: 1 }, (frame) => out.append(chip(frame, "new")));
      remark.textContent = finish === "stop" ? await ending(lesson, ids, written) : `Stopped after ${LENGTH} tokens.`;
    } catch (error) {
      remark.textContent = error.message;
    }
    button.disabled = false;
    button.textContent = "Once more";
  });
  return make("div", { class: "chat-answer" }, make("div", { class: "row" }, button), out, remark, aside("The end of an answer is predicted like any other token: when the mark for “this message ends” is drawn, the program stops, and you can write again. Your next message is put behind it, and the whole list is read on."));
}

async function ending(lesson, ids, written) {
  const { ends } = lesson.model;
  const last = written.at(-1);
  const tokens = ends.includes(last) ? written.slice(0, -1) : written;
  const { top } = await lesson.ask({ ask: "next", ids: [...ids, ...tokens], top: 1 });
  return `It ended by itself. At that place the most probable token is ${quoted(top[0])}, with ${percent(Math.exp(top[0].logprob))}.`;
}

/** The question alone, as a text: the model continues it as a text. */
function plain(lesson) {
  const question = () => lesson.field("question", QUESTION);
  return make(
    "div",
    {},
    figure("The question without the template, continued with the most probable tokens.", async () => {
      const { ids } = await lesson.tokensOf(question());
      const found = await lesson.ask({ ask: "generate", ids, tokens: 24, temperature: 0, seed: 0 });
      const { tokens } = found.ids.length ? await lesson.ask({ ask: "pieces", ids: found.ids }) : { tokens: [] };
      return make("p", { class: "token-row story" }, `${question()} `, ...tokens.map((token) => chip(token, "new")));
    }, { name: "plain", tall: 6 }),
    say(`Without marks, the same words are the beginning of some text, and the model goes on with that text. Nothing else has changed: the same ${whole(lesson.model.stored)} weights.`),
  );
}
