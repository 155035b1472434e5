// Dialogs: the browser's own, so that Esc closes them and the focus stays in them and comes back.

import { element, fill } from "./element.js";
import { focusNear } from "./focus.js";

let made = 0;

/**
 * Open a dialog. It is gone once it is closed.
 * @param {string} title
 * @param {(close: function(): void) => Array<Node>} content given what closes it
 */
export function openDialog(title, content) {
  const id = `dialog-${(made += 1)}`;
  const dialog = element("dialog", { "aria-labelledby": id });
  const opener = document.activeElement;
  let pressed = null; // where the pointer went down: who drags out of a field means no end
  const close = () => dialog.close();
  const head = element("div", { class: "dialog-head" }, element("h2", { id }, title), closer(close));
  fill(dialog, head, content(close));
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (!opener.checkVisibility()) focusNear(opener);
  });
  dialog.addEventListener("pointerdown", (event) => (pressed = event.target));
  dialog.addEventListener("click", (event) => event.target === dialog && pressed === dialog && close());
  document.body.append(dialog);
  dialog.showModal();
}

/** The last line of a dialog: a way out, and what it is for. */
export function closing(close, ...buttons) {
  return element(
    "div",
    { class: "dialog-foot" },
    element("button", { type: "button", onclick: close }, "Close"),
    buttons,
  );
}

/** A field for a reason that histories will tell. */
export function reasonField(id, label, required = false) {
  const field = element("input", {
    id,
    type: "text",
    maxlength: 1000,
    autocomplete: "off",
    required,
    autofocus: true,
  });
  return { field, element: element("div", { class: "field" }, element("label", { for: id }, label), field) };
}

function closer(close) {
  return element("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: close }, "×");
}
