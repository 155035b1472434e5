// What happened to a job, line by line.

import { byId, element } from "./element.js";
import { badge } from "./signs.js";
import { clock, timeElement } from "./times.js";

/** The lines of states and tasks; each only once, in the order of their numbers. */
export class History {
  constructor() {
    this.lines = [];
    this.list = element("ol", { class: "lines" });
    byId("history").append(this.list);
  }

  /** The number of the last line. */
  get last() {
    return this.lines.at(-1)?.seq ?? 0;
  }

  /** Add lines; whether any was new. */
  add(lines) {
    const fresh = lines.filter((line) => !this.lines.some((one) => one.seq === line.seq));
    if (!fresh.length) return false;
    const late = fresh.some((line) => line.seq < this.last);
    this.lines.push(...fresh);
    if (late) this.lines.sort((a, b) => a.seq - b.seq);
    if (late) this.list.replaceChildren(...this.lines.map(shown));
    else this.list.append(...fresh.map(shown));
    return true;
  }
}

function shown(line) {
  const what = line.kind === "task" ? [element("span", { class: "line-task" }, line.task), badge(line.state)] : [badge(line.state)];
  const by = line.by && !line.message?.includes(line.by) ? element("span", { class: "line-by" }, `by ${line.by}`) : null;
  const stack = line.data?.stack ? element("details", {}, element("summary", {}, "Where it is"), element("pre", {}, line.data.stack)) : null;
  return element(
    "li",
    { class: `line ${line.kind}`, "data-seq": line.seq },
    timeElement(line.at, (at) => clock(at, true)),
    element("span", { class: "line-what" }, what),
    element("span", { class: "line-said" }, line.message, by, stack),
  );
}
