// Jobs by the hour they ended in, as stacked bars; and how many were posted, as a line of dots.

import { element, picture } from "./element.js";
import { refill } from "./refill.js";
import { day, moment, shortClock, timeElement, utc } from "./times.js";
import { number, stateWord } from "./words.js";

const ENDS = ["completed", "cancelled", "failed", "revert_failed"];
const HEIGHT = 216;
const FOOT = 40;
const LABELLED = 3; // each third hour has a label
const HEAD = 12;

/** The chart, its legend, and the same as a table. */
export class Chart {
  constructor(place) {
    this.place = place;
    this.told = "";
  }

  /** @param {Array<{from: string, completed: number, failed: number, cancelled: number, revert_failed: number, posted: number}>} hours */
  show(hours) {
    if (JSON.stringify(hours) === this.told) return;
    this.told = JSON.stringify(hours);
    const most = Math.max(1, ...hours.map((hour) => Math.max(ended(hour), hour.posted)));
    const top = round(most);
    const sums = [...ENDS, "posted"].map((kind) =>
      legend(
        kind,
        hours.reduce((sum, hour) => sum + hour[kind], 0),
      ),
    );
    const open = this.place.querySelector("details")?.open ?? false;
    refill(this.place, element("ul", { class: "legend" }, sums), drawn(hours, top), table(hours, open));
  }
}

function drawn(hours, top) {
  const y = (amount) => HEAD + (HEIGHT - HEAD - FOOT) * (1 - amount / top);
  const width = 100 / hours.length;
  const lines = [0, top / 2, top].map((amount) => [
    picture("line", { class: "grid", x1: 0, x2: "100%", y1: y(amount), y2: y(amount) }),
    amount ? picture("text", { class: "grid-word", x: 0, y: y(amount) - 4 }, number(amount)) : null,
  ]);
  const bars = hours.map((hour, at) => bar(hour, at * width, width, y));
  const dots = hours.map((hour, at) =>
    hour.posted
      ? picture("circle", { class: "posted", cx: `${(at + 0.5) * width}%`, cy: y(hour.posted), r: 3 })
      : null,
  );
  const words = hours.map((hour, at) => (at % LABELLED ? [] : label(hours, at, `${(at + 0.5) * width}%`)));
  const told = `Jobs by hour, from ${moment(hours[0].from)} on; the table below has the numbers`;
  return picture(
    "svg",
    { class: "chart", width: "100%", height: HEIGHT, role: "img", "aria-label": told },
    lines.flat(),
    bars,
    dots,
    words,
  );
}

/** An hour; with its day where that is another one than at the label before. */
function label(hours, at, x) {
  const { from } = hours[at];
  const before = hours[at - LABELLED]?.from;
  const said = day(from).slice("2026-".length);
  return [
    picture("text", { class: "hour", x, y: HEIGHT - 22 }, shortClock(from)),
    before && day(before) === day(from) ? null : picture("text", { class: "day", x, y: HEIGHT - 6 }, said),
  ];
}

function bar(hour, left, width, y) {
  let sum = 0;
  const parts = ENDS.map((kind) => {
    const from = y(sum);
    sum += hour[kind];
    return hour[kind]
      ? picture("rect", {
          class: `ended ${kind}`,
          x: `${left + width * 0.16}%`,
          width: `${width * 0.68}%`,
          y: y(sum),
          height: Math.max(1, from - y(sum)),
        })
      : null;
  });
  const said = [...ENDS, "posted"]
    .filter((kind) => hour[kind])
    .map((kind) => `${number(hour[kind])} ${stateWord(kind)}`);
  const title = picture("title", {}, `${moment(hour.from)} (${utc(hour.from)}): ${said.join(", ") || "nothing"}`);
  return picture(
    "g",
    {},
    title,
    picture("rect", { class: "hover", x: `${left}%`, width: `${width}%`, y: HEAD, height: HEIGHT - HEAD - FOOT }),
    parts,
  );
}

function legend(kind, sum) {
  const sample =
    kind === "posted"
      ? picture("circle", { class: "posted", cx: 6, cy: 6, r: 3.5 })
      : picture("rect", { class: `ended ${kind}`, width: 12, height: 12, rx: 3 });
  return element(
    "li",
    {},
    picture("svg", { width: 12, height: 12, "aria-hidden": "true" }, sample),
    `${stateWord(kind)} `,
    element("strong", {}, number(sum)),
  );
}

function table(hours, open) {
  const kinds = [...ENDS, "posted"];
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "Hour from"),
    kinds.map((kind) => element("th", { scope: "col", class: "number" }, stateWord(kind))),
  );
  const rows = hours.map((hour) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, timeElement(hour.from)),
      kinds.map((kind) => element("td", { class: "number" }, number(hour[kind]))),
    ),
  );
  const whole = element(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Jobs by hour" },
    element("table", { class: "by-flow" }, element("thead", {}, head), element("tbody", {}, rows)),
  );
  return element("details", { class: "numbers", open }, element("summary", {}, "As a table"), whole);
}

function ended(hour) {
  return ENDS.reduce((sum, kind) => sum + hour[kind], 0);
}

/** The next number that has a round half. */
function round(most) {
  if (most <= 10) return [2, 4, 6, 8, 10].find((one) => one >= most);
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].map((one) => Math.round(one * power)).find((one) => one >= most);
}
