// The line above the bars: seconds since the attempt began, and what happened to the job meanwhile.

import { fill, picture } from "./element.js";
import { Scale } from "./scale.js";

const NEAR = 5; // percent: there a mark would run through the label

/** The axis of an attempt. */
export class Axis {
  constructor() {
    this.element = picture("svg", { class: "axis", width: "100%", height: 34, "aria-hidden": "true" });
    this.told = "";
  }

  place(scale, marks) {
    const ticks = scale.ticks;
    const told = `${scale.length}|${marks.length}`;
    if (told === this.told) return;
    this.told = told;
    fill(
      this.element,
      ticks.map((seconds) =>
        this.#tick(scale.at(scale.from + seconds * 1000), Scale.label(seconds), marks, scale),
      ),
      marks.map((mark) => this.#mark(scale.at(mark.at), mark.what)),
    );
  }

  #tick(at, label, marks, scale) {
    const line = picture("line", { class: "tick", x1: `${at}%`, x2: `${at}%`, y1: 28, y2: 34 });
    const hidden = marks.some((mark) => Math.abs(scale.at(mark.at) - at) < NEAR);
    return hidden ? line : [line, picture("text", { x: `${at}%`, y: 24, class: anchor(at) }, label)];
  }

  #mark(at, what) {
    const line = picture("line", { class: `mark ${what}`, x1: `${at}%`, x2: `${at}%`, y1: 12, y2: 34 });
    return [line, picture("text", { x: `${at}%`, y: 10, class: `mark-word ${what} ${anchor(at)}` }, what)];
  }
}

function anchor(at) {
  return at < 4 ? "start" : at > 94 ? "end" : "middle";
}
