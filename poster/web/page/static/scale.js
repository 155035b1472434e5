// Where a moment stands on a line, and where its ticks are. Pure.

const STEPS_S = [
  0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];
const MOST_TICKS = 6;

/** From one moment (in milliseconds) to another; a position is in percent. */
export class Scale {
  constructor(from, to) {
    this.from = from;
    this.length = Math.max(to - from, 50);
  }

  at(moment) {
    return Math.min(100, Math.max(0, ((moment - this.from) / this.length) * 100));
  }

  /** Seconds from the beginning, at round numbers. */
  get ticks() {
    const seconds = this.length / 1000;
    const step =
      STEPS_S.find((one) => seconds / one <= MOST_TICKS) ?? Math.ceil(seconds / MOST_TICKS / 86400) * 86400;
    const found = [];
    for (let number = 0; number * step <= seconds; number += 1) found.push(number * step);
    return found;
  }

  /** A tick's label. */
  static label(seconds) {
    if (seconds === 0) return "0";
    if (seconds < 60) return `${Number(seconds.toFixed(2))} s`;
    if (seconds < 3600) return `${Number((seconds / 60).toFixed(1))} m`;
    if (seconds < 86400) return `${Number((seconds / 3600).toFixed(1))} h`;
    return `${Number((seconds / 86400).toFixed(1))} d`;
  }
}
