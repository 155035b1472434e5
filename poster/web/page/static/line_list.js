// A list of lines on the page: it changes in place, with a button for earlier ones.

import { Button } from "./button.js";
import { isToday } from "./day.js";
import { element, fill, setAttribute } from "./element.js";
import { focusNear } from "./focus.js";
import { MOST } from "./lines.js";
import { showProblem } from "./said.js";
import { number } from "./words.js";

const FULL = `No more than ${number(MOST)} lines are shown at once.`;

/** What `Lines` hold. */
export class LineList {
  /**
   * @param {Lines} lines
   * @param {{name: string, look: string, item: function(Object): HTMLElement, shown: function(): void}} how
   */
  constructor(lines, { name, look, item, shown }) {
    this.lines = lines;
    this.item = item;
    this.shown = shown;
    this.look = look;
    this.list = element("ol", { class: `lines ${look}` });
    const region = { tabindex: 0, role: "region", "aria-label": name };
    this.box = element("div", { class: "scroll tall", ...region }, this.list);
    this.earlier = new Button("Show earlier lines", () => this.#readEarlier(), "small");
    this.problem = element("div", {});
    this.earlier.show(false);
    this.elements = [this.earlier.element, this.problem, this.box];
  }

  get items() {
    return [...this.list.children];
  }

  /** Tell what the lines are now. */
  show() {
    let item = this.list.firstElementChild;
    const next = () => {
      const passed = item;
      item = item.nextElementSibling;
      return passed;
    };
    for (const line of this.lines.held) {
      while (item && Number(item.dataset.seq) < line.seq) next().remove();
      if (item && Number(item.dataset.seq) === line.seq) next();
      else this.list.insertBefore(this.item(line), item);
    }
    while (item) next().remove();
    const dated = this.lines.held.length > 0 && !isToday(this.lines.held[0].at);
    setAttribute(this.list, "class", `lines ${this.look}${dated ? " dated" : ""}`);
    this.#tellEarlier();
    this.shown();
  }

  #tellEarlier() {
    this.earlier.set("Show earlier lines", this.lines.hasRoom ? null : FULL);
    this.earlier.show(this.lines.earlier);
  }

  async #readEarlier() {
    const below = this.box.scrollHeight - this.box.scrollTop;
    try {
      await this.lines.readEarlier();
      fill(this.problem);
      this.show();
      this.box.scrollTop = this.box.scrollHeight - below;
      if (!this.lines.earlier) focusNear(this.earlier.button);
    } catch (problem) {
      showProblem(this.problem, problem);
    }
  }
}
