// What is said aloud to who cannot see the page.

import { byId, element, fill } from "./element.js";

/** Say that something has changed. */
export function say(text) {
  byId("said").append(element("p", {}, text));
  while (byId("said").childElementCount > 5) byId("said").firstElementChild.remove();
}

/** Show a problem where it belongs, or take it away. */
export function showProblem(place, problem) {
  fill(place, problem && element("p", { class: "notice bad", role: "alert" }, problem.message));
}
