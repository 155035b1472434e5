// What happened to a job, line by line.

import { byId, element } from "./element.js";
import { badge } from "./signs.js";
import { clock, timeElement } from "./times.js";

const SHOWN = 2000; // `poster history` has all

/** The lines of states and tasks; each only once, in the order of their numbers. */
export class History {
  constructor() {
    this.lines = [];
    this.seen = new Set();
    this.list = element("ol", { class: "lines" });
    byId("history").append(this.list);
  }

  /** The number of the last line. */
  get last() {
    return this.lines.at(-1)?.seq ?? 0;
  }

  /** Add lines; whether any was new. */
  add(lines) {
    const fresh = lines.filter((line) => !this.seen.has(line.seq));
    if (!fresh.length) return false;
    const late = fresh.some((line) => line.seq < this.last);
    for (const line of fresh) this.seen.add(line.seq);
    this.lines.push(...fresh);
    if (late) this.lines.sort((a, b) => a.seq - b.seq);
    if (late) this.list.replaceChildren(...this.lines.slice(-SHOWN).map(shown));
    else this.list.append(...fresh.slice(-SHOWN).map(shown));
    while (this.list.childElementCount > SHOWN) this.list.firstElementChild.remove();
    return true;
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
    timeElement(line.at, (at) => clock(at, true)),
    element("span", { class: "line-what" }, what),
    element("span", { class: "line-said" }, line.message, by && " ", by, stack),
  );
}
