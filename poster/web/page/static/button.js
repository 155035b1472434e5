// Buttons that say why they are off, and stay reachable while they are.

import { element, setAttribute, setText } from "./element.js";

let made = 0;

/** A button that may be off for a reason: its description, its title, and what one is told who presses it. */
export class Button {
  /**
   * @param {string} label
   * @param {function(): any} act
   * @param {string} look classes
   * @param {string|null} describedBy id of what describes it while it is not off
   */
  constructor(label, act, look = "", describedBy = null) {
    this.label = element("span", {}, label);
    this.why = element("span", { class: "why-off", popover: "auto", id: `why-${(made += 1)}` });
    this.describedBy = describedBy;
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
    setAttribute(this.button, "aria-describedby", off === null ? this.describedBy : this.why.id);
    setText(this.why, off ?? "");
    if (off === null && this.why.matches(":popover-open")) this.why.hidePopover();
  }

  show(shown) {
    setAttribute(this.element, "hidden", !shown);
  }

  async #pressed() {
    if (this.off) this.why.togglePopover(true); // a finger finds no title
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
