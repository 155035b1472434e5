// What is said aloud to who cannot see the page.

import { byId, element, fill } from "./element.js";

const KEPT = 20; // who listens may go back

/** Say that something has changed. */
export function say(text) {
  byId("said").append(element("p", {}, text));
  while (byId("said").childElementCount > KEPT) byId("said").firstElementChild.remove();
}

/** Show a problem where it belongs, or take it away. The same one again is not said again. */
export function showProblem(place, problem) {
  if (place.textContent === (problem?.message ?? "")) return;
  fill(place, problem && element("p", { class: "notice bad", role: "alert" }, problem.message));
}
