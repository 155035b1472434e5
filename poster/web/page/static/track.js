// The bars of one task in one attempt: execute is plain, revert is hatched; each cancel is a line through all of them.

import { picture, setAttribute } from "./element.js";
import { took } from "./words.js";

const ENDS = { failure: ", then failed", revert_failure: ", which failed", interrupted: ", then was interrupted" };
const LEAST = 0.5; // percent: what is shorter would not be seen

/** A line of bars. */
export class Track {
  constructor() {
    this.element = picture("svg", { class: "track", width: "100%", height: 34, role: "img" });
    this.bars = [];
    this.marks = [];
  }

  /** Tell these parts of a task's time. */
  show(parts, marks) {
    while (this.bars.length > parts.length) this.bars.pop().remove();
    parts.forEach((part, number) => {
      this.bars[number] ??= this.element.appendChild(picture("rect", { y: 10, height: 14, rx: 3 }));
      setAttribute(this.bars[number], "class", `part ${part.kind} ${part.state}`);
    });
    while (this.marks.length > marks.length) this.marks.pop().remove();
    marks.forEach((mark, number) => {
      this.marks[number] ??= this.element.insertBefore(
        picture("line", { y1: 0, y2: "100%" }),
        this.element.firstChild,
      );
      setAttribute(this.marks[number], "class", `mark ${mark.what}`);
    });
    this.parts = parts;
    this.told = marks;
    setAttribute(this.element, "aria-label", parts.map(said).join(", ") || "has not begun");
  }

  /** Put all where it belongs. */
  place(scale, now) {
    this.parts.forEach((part, number) => {
      const from = Math.min(scale.at(part.from), 100 - LEAST);
      setAttribute(this.bars[number], "x", `${from.toFixed(3)}%`);
      setAttribute(this.bars[number], "width", `${Math.max(LEAST, scale.at(part.to ?? now) - from).toFixed(3)}%`);
    });
    this.told.forEach((mark, number) => {
      const at = `${scale.at(mark.at).toFixed(3)}%`;
      setAttribute(this.marks[number], "x1", at);
      setAttribute(this.marks[number], "x2", at);
    });
  }
}

function said(part) {
  const what = part.kind === "execute" ? "ran" : "reverted";
  if (part.to === null) return part.kind === "execute" ? "is running" : "is being reverted";
  return `${what} ${took((part.to - part.from) / 1000)}${ENDS[part.state] ?? ""}`;
}
