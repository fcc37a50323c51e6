// The place "Course" among the places of the page.

import { addPlace, note } from "../places.js";
import { element, onLink, show } from "./course.js";

export function startCourse() {
  document.getElementById("places")?.append(element);
  if (!element.isConnected) document.body.append(element);
  onLink(({ chapter, text, fields }) => note("course", { view: chapter, t: text, ...fields }, false));
  addPlace({
    id: "course",
    label: "Course",
    element,
    show: ({ view, t, ...fields }) => show({ chapter: view, text: t, fields }),
  });
}
