// A field of a form.

import { element, setAttribute, setText } from "./element.js";

/** A control with its label, its hint and its error. It knows whether someone has changed what it held at first. */
export class Field {
  /**
   * @param {string} name
   * @param {HTMLElement} control
   * @param {{label?: string|Node, hint?: string, needed?: boolean, nullable?: boolean, prefix?: string}} told
   */
  constructor(
    name,
    control,
    { label = name, hint = "", needed = false, nullable = false, prefix = "field" } = {},
  ) {
    this.name = name;
    this.control = control;
    this.nullable = nullable;
    this.built = this.held;
    const id = `${prefix}-${name}`;
    this.error = element("p", { class: "field-error", id: `${id}-error` });
    const told = hint ? element("p", { class: "hint", id: `${id}-hint` }, hint) : null;
    setAttribute(control, "id", id);
    setAttribute(control, "name", name);
    setAttribute(control, "aria-required", needed ? "true" : null);
    setAttribute(control, "aria-describedby", `${told ? `${id}-hint ` : ""}${id}-error`);
    const asks = needed ? element("span", { class: "needed" }, " (required)") : null;
    const named = element("label", { for: id }, label, asks);
    const check = control.type === "checkbox";
    this.element = element(
      "div",
      { class: check ? "field check" : "field" },
      check ? [control, named] : [named, control],
      told,
      this.error,
    );
  }

  /** What its control holds. */
  get held() {
    return this.control.value;
  }

  /** Whether someone has changed it. A control says that it holds nothing when it cannot be read. */
  get changed() {
    return this.held !== this.built || this.control.validity.badInput;
  }

  /** Say what is wrong with it; nothing for an empty text. */
  complain(message) {
    setText(this.error, message);
    setAttribute(this.control, "aria-invalid", message ? "true" : null);
  }

  /** What it says. Raises for what cannot be read. */
  value() {
    if (this.control.validity.badInput) throw new Error("This cannot be read.");
    return this.held === "" ? this.emptied() : this.read();
  }

  /** What it says with something in it. */
  read() {
    return this.held;
  }

  /** What it says when someone has emptied it. */
  emptied() {
    return this.nullable ? null : this.held;
  }
}

/** What was changed, by name; null if a field cannot be read, which then says so. */
export function changesOf(fields) {
  const values = {};
  let sound = true;
  for (const field of fields) {
    field.complain("");
    if (!field.changed) continue;
    try {
      values[field.name] = field.value();
    } catch (error) {
      field.complain(error.message);
      sound = false;
    }
  }
  return sound ? values : null;
}
