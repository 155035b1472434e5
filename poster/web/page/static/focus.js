// Where the focus goes when what has it is hidden: without that it begins at the top of the page again.

import { setAttribute } from "./element.js";

/** Make a change; if it hides what has the focus, what is near gets it. */
export function keepingFocus(change) {
  const had = document.activeElement;
  change();
  if (had && had !== document.body && !had.checkVisibility()) focusNear(had);
}

/** Give the focus to the next button of the same section that is shown, or to the page's heading. */
export function focusNear(lost) {
  const buttons = [...(lost.closest("section")?.querySelectorAll("button") ?? [])];
  const next = buttons.find((button) => button.checkVisibility() && isAfter(button, lost));
  (next ?? heading()).focus();
}

function heading() {
  const found = document.querySelector("h1");
  setAttribute(found, "tabindex", -1);
  return found;
}

function isAfter(one, other) {
  return (other.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
}
