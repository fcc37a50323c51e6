// What a view shows, to keep: a link that restores it, and its picture as SVG and PNG.

import { announce, ask, make, save } from "../dom.js";
import { drawnAsSvg } from "./keep_svg.js";

/**
 * The row "Copy link · SVG · PNG" of a view. `element()` is what is drawn; `link()` its address; `name()` that of the files.
 */
export function keepRow({ element, link, name }) {
  const remark = make("span", { class: "note", role: "status" });
  const act = (f) => async () => {
    remark.textContent = "";
    try {
      remark.textContent = (await f()) ?? "";
    } catch (error) {
      remark.textContent = error.message;
    }
  };
  const button = (label, f, spoken) => make("button", { type: "button", class: "quiet", onclick: act(f), "aria-label": spoken }, label);
  return make(
    "div",
    { class: "keep row", "data-keep": "no" },
    link && button("Copy link", () => copy(link())),
    button("SVG", async () => save(`${name()}.svg`, "image/svg+xml", drawnAsSvg(element(), name())), "Keep the picture as SVG"),
    button("PNG", async () => save(`${name()}.png`, "image/png", await png(element(), name())), "Keep the picture as PNG"),
    remark,
  );
}

async function copy(link) {
  try {
    await navigator.clipboard.writeText(link);
    announce("Link copied.");
    return "Copied.";
  } catch {
    const field = make("input", { id: "view-link", readonly: true, value: link });
    await ask("Link to this view", make("div", {}, make("label", { for: "view-link" }, "Copy this:"), field), [
      { label: "Close", value: "ok", primary: true },
    ]);
    return "";
  }
}

/** The picture in pixels, two for each pixel of the page. */
export async function png(element, title) {
  const url = URL.createObjectURL(new Blob([drawnAsSvg(element, title)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error("This browser cannot turn the picture into a PNG; the SVG can be kept."));
      image.src = url;
    });
    // Browsers refuse canvases with more pixels.
    const scale = Math.min(2, Math.sqrt(3e7 / (image.width * image.height)));
    const canvas = make("canvas", {});
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("This picture is too large for a PNG."))), "image/png"),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}
