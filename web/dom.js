// Elements, dialogs and announcements. Text reaches the page through textContent alone, never as HTML.

/** Makes an element: `make("button", { class: "quiet", onclick: f, "aria-label": "Close" }, "text", child)`. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && typeof value === "boolean") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const find = (id) => document.getElementById(id);

/** Says something to screen readers, after what is being said already. */
export function announce(text) {
  const log = find("spoken");
  log.append(make("p", {}, text));
  while (log.childElementCount > 20) log.firstElementChild.remove();
}

/** Announces a growing text sentence by sentence: neither every token nor everything at the end. */
export class Speaker {
  #rest = "";

  add(text) {
    this.#rest += text;
    const end = Math.max(...[". ", "! ", "? ", "\n"].map((mark) => this.#rest.lastIndexOf(mark)));
    if (end < 40) return;
    announce(this.#rest.slice(0, end + 1).trim());
    this.#rest = this.#rest.slice(end + 1);
  }

  finish(remark) {
    if (this.#rest.trim()) announce(this.#rest.trim());
    this.#rest = "";
    announce(remark);
  }
}

/** A modal dialog; resolves to the value of the button that closed it, `null` if it was dismissed. */
export function ask(title, body, buttons) {
  return new Promise((resolve) => {
    const heading = make("h2", { id: "ask-title" }, title);
    const row = make("div", { class: "row end" });
    const dialog = make("dialog", { class: "sheet small", "aria-labelledby": "ask-title" }, heading, body, row);
    for (const { label, value, primary } of buttons) {
      const close = () => dialog.close(value);
      row.append(make("button", { type: "button", class: primary ? "primary" : "", onclick: close }, label));
    }
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input:not([readonly])")) {
        event.preventDefault();
        dialog.close(buttons.find((button) => button.primary)?.value);
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input, textarea")?.select();
  });
}

/** Hands a file to the reader. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Calls `f` once nothing has asked for it for `ms`. */
export function later(ms, f) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(f, ms);
  };
}

export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
