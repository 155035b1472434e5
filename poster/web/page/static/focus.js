// Where the focus is, while what has it is made anew.

/** Fill a place by `draw`; the link, or whatever else had the focus in it, has it again. */
export function keepingFocus(place, draw) {
  const at = place.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
  draw();
  if (at) place.querySelector(at)?.focus({ preventScroll: true });
}

function selectorOf(element) {
  const href = element.getAttribute("href");
  return href === null ? element.localName : `a[href="${CSS.escape(href)}"]`;
}
