// A note that one page leaves for the next one.

const NAME = "countermand-note";

/** Leave it. */
export function leaveNote(text) {
  sessionStorage.setItem(NAME, text);
}

/** Take it; null if there is none. */
export function takeNote() {
  const text = sessionStorage.getItem(NAME);
  sessionStorage.removeItem(NAME);
  return text;
}
