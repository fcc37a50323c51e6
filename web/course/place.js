// The place "Course" among the places of the page.

import { addPlace, note } from "../places.js";
import { element, onLink, show } from "./course.js";

export function startCourse() {
  const place = document.getElementById("course");
  place.append(element);
  onLink(({ chapter, text, fields }) => note("course", { view: chapter, t: text, ...fields }, false));
  addPlace({
    id: "course",
    label: "Course",
    element: place,
    show: ({ view, t, ...fields }) => show({ chapter: view, text: t, fields }),
  });
}
