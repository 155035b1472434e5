// Other children for an element in which someone may have the focus.

import { fill } from "./element.js";

/** Give an element other children; the link, or whatever else had the focus in it, has it again. */
export function refill(target, ...children) {
  const at = target.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
  fill(target, ...children);
  if (at) target.querySelector(at)?.focus({ preventScroll: true });
}

function selectorOf(element) {
  const href = element.getAttribute("href");
  return href === null ? element.localName : `a[href="${CSS.escape(href)}"]`;
}
