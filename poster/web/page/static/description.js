// The description of a flow, as its author wrote it: paragraphs, and words between backticks.

import { element } from "./element.js";

/** Its paragraphs. Lines end where the window ends, not where those of the source did. */
export function paragraphs(text) {
  return text.split(/\n\s*\n/).map((paragraph) => element("p", {}, words(paragraph.replace(/\s*\n\s*/g, " "))));
}

function words(text) {
  return text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? element("code", {}, part) : part));
}
