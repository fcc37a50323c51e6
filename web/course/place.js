// The place "Course" among the places of the page.

import { addPlace, note } from "../places.js";
import { build, element, onLink, show } from "./course.js";

export function startCourse() {
  build();
  onLink(({ chapter, text, fields }, step) => note("course", { view: chapter, t: text, ...fields }, step));
  addPlace({ id: "course", label: "Course", element, show: ({ view, t, ...fields }) => show({ chapter: view, text: t, fields }) });
}
