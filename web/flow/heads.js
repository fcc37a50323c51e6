// The view "All heads": every head's proposal for a word beside the others, and their sum.

import { make } from "../dom.js";
import { format, most, percent, signed } from "../draw/numbers.js";
import { number } from "../draw/number.js";
import { chip, quoted } from "../draw/token_strip.js";
import { ask } from "../engine.js";
import { chips, note, part } from "./parts.js";
import { defineView } from "./view.js";

export const view = defineView({
  id: "heads",
  title: "All heads of a block",
  station: "All heads",
  about: "Every head adds a vector to the word's vector. Raises, lowers: the logits of which next tokens its vector alone changes most.",
  uses: ["position", "block"],
  keys: ["head"],
  draw,
});

async function draw({ state, store, open }) {
  const { block, head, position, tokens, model } = state;
  const [found, kinds] = await Promise.all([ask(store.question("heads", { block, position, top: 4 })), ask({ ask: "kinds" })]);
  const longest = most([...found.heads.map(({ length }) => length), found.sum.length]);
  const strongest = most(found.heads.map(({ logit }) => logit ?? 0));
  const pick = (at) => {
    store.set({ head: at });
    open("head");
  };
  const cards = found.heads.map((one, at) =>
    card({
      one,
      at,
      next: found.token ? quoted(found.token) : "the next token",
      kind: kindOf(kinds.heads[block][at]),
      chosen: at === head,
      tokens,
      longest,
      strongest,
      block,
      position,
      pick: () => pick(at),
    }),
  );
  const { sum, bias } = found;
  return [
    make("ul", { class: "head-cards", "aria-label": "Heads" }, ...cards),
    part(
      "The sum",
      make(
        "p",
        { class: "equation" },
        `${found.heads.length} heads`,
        bias.length > 0 ? ` and a bias of length ${format(bias.length, 3)}` : "",
        ` make a vector of length ${format(sum.length, 3)}, added to ${quoted(tokens[position])}.`,
      ),
      lengthBar(sum.length, longest, "the sum"),
      make(
        "p",
        { class: "row" },
        make("span", { class: "note" }, "raises"),
        chips(sum.promoted),
        make("span", { class: "note" }, "lowers"),
        chips(sum.demoted),
      ),
    ),
    model.choices.norm_after && note("What a head adds is shown as the norm behind attention leaves it."),
    note("Lengths do not add up to the length of the sum: where vectors point in different directions, they cancel in part."),
  ];
}

const KINDS = {
  previous: "the word before",
  first: "the first token",
  duplicate: "the same word, earlier",
  induction: "what followed the same word, earlier",
};

/** What a head mostly does on repeated random tokens, if it does one thing. */
function kindOf(shares) {
  const [name, share] = Object.entries(shares)
    .filter(([name]) => KINDS[name])
    .sort((a, b) => b[1] - a[1])[0];
  return share >= 0.3 ? `usually looks at ${KINDS[name]} (${percent(share)} on random tokens that repeat)` : null;
}

function card({ one, at, kind, next, chosen, tokens, longest, strongest, block, position, pick }) {
  const sources = one.sources
    .slice(0, 3)
    .map((source) =>
      make(
        "li",
        {},
        chip(tokens[source.position]),
        number(source.share, { site: `block.${block}.attention.pattern`, position, head: at, key: source.position }, { as: "percent" }),
      ),
    );
  return make(
    "li",
    { class: `head-card${chosen ? " chosen" : ""}`, "data-head": at },
    make(
      "h3",
      {},
      make(
        "button",
        { type: "button", class: "quiet", "data-focus": `head-${at}`, "aria-current": chosen ? "true" : null, onclick: pick },
        `Head ${at}`,
      ),
    ),
    lengthBar(one.length, longest, `head ${at}`),
    one.logit !== undefined &&
      one.logit !== null &&
      make("p", { class: "note" }, `adds ${signed(one.logit)} to the logit of ${next}`, one.logit === strongest ? ", the most" : ""),
    make("p", { class: "row" }, make("span", { class: "note" }, "raises"), chips(one.promoted.slice(0, 4))),
    make("p", { class: "row" }, make("span", { class: "note" }, "lowers"), chips(one.demoted.slice(0, 4))),
    kind && make("p", { class: "note" }, kind),
    make("p", { class: "note" }, "takes most from (share of its attention)"),
    make("ul", { class: "source-list" }, ...sources),
  );
}

function lengthBar(length, longest, name) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${(100 * length) / longest}%`;
  return make(
    "div",
    { class: "bars length-bar" },
    make(
      "div",
      { class: "bar-row" },
      make("span", { class: "track", "aria-hidden": "true" }, fill),
      make("span", { class: "number plain" }, make("span", { class: "hidden" }, `Length of ${name}: `), format(length, 3)),
    ),
  );
}
