// Buttons that say why they are off, and stay reachable while they are.

import { element, setAttribute, setText } from "./element.js";

let made = 0;

/** A button that may be off for a reason, which is its description and stands in its title. */
export class Button {
  /**
   * @param {string} label
   * @param {function(): any} act
   * @param {string} look classes
   */
  constructor(label, act, look = "") {
    this.label = element("span", {}, label);
    this.why = element("span", { class: "visually-hidden", id: `why-${(made += 1)}` });
    this.button = element("button", { type: "button", class: look, onclick: () => this.#pressed() }, this.label);
    this.element = element("span", { class: "button-place" }, this.button, this.why);
    this.act = act;
    this.busy = false;
  }

  /** Whether it is off. */
  get off() {
    return this.button.getAttribute("aria-disabled") === "true";
  }

  /** Say what it does; and why it is off, null if it is not. */
  set(label, off = null) {
    setText(this.label, label);
    setAttribute(this.button, "aria-disabled", off === null ? null : "true");
    setAttribute(this.button, "title", off);
    setAttribute(this.button, "aria-describedby", off === null ? null : this.why.id);
    setText(this.why, off ?? "");
  }

  show(shown) {
    setAttribute(this.element, "hidden", !shown);
  }

  async #pressed() {
    if (this.off || this.busy) return;
    this.busy = true;
    setAttribute(this.button, "aria-busy", "true");
    try {
      await this.act();
    } finally {
      this.busy = false;
      setAttribute(this.button, "aria-busy", null);
    }
  }
}
