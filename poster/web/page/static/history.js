// What happened to a job, line by line.

import { dayClock } from "./day.js";
import { byId, element, setText } from "./element.js";
import { LineList } from "./line_list.js";
import { Lines } from "./lines.js";
import { badge } from "./signs.js";
import { timeElement } from "./times.js";

/** The lines of states and tasks. */
export class History {
  /**
   * @param {string} job
   * @param {function(): void} changed called when there are other lines
   */
  constructor(job, changed) {
    this.lines = new Lines(`/api/jobs/${job}/history`);
    this.changed = changed;
    this.count = element("p", { class: "hint" });
    this.list = new LineList(this.lines, {
      name: "Lines of the history",
      look: "",
      item: shown,
      shown: () => this.#shown(),
    });
    byId("history").append(...this.list.elements, this.count);
  }

  /** Tell the lines as they are now. */
  show() {
    this.list.show();
  }

  #shown() {
    setText(this.count, this.lines.earlier ? `The ${this.lines.said}` : "");
    this.changed();
  }
}

function shown(line) {
  const what =
    line.kind === "task"
      ? [element("span", { class: "line-task" }, line.task), badge(line.state)]
      : [badge(line.state)];
  const by =
    line.by && !line.message?.includes(line.by) ? element("span", { class: "line-by" }, `by ${line.by}`) : null;
  const stack = line.data?.stack
    ? element("details", {}, element("summary", {}, "Where it is"), element("pre", {}, line.data.stack))
    : null;
  return element(
    "li",
    { class: `line ${line.kind}`, "data-seq": line.seq },
    timeElement(line.at, (at) => dayClock(at, true)),
    element("span", { class: "line-what" }, what),
    element("span", { class: "line-said" }, line.message, by && " ", by, stack),
  );
}
