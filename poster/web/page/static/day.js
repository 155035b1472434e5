// Times of day, with the date where it is not today's.

import { clock, day, now } from "./times.js";

/** Whether a moment is of this day, in this zone. */
export function isToday(at) {
  return day(at) === day(now());
}

/** The time of a moment. */
export function dayClock(at, milliseconds = false) {
  const time = clock(at, milliseconds);
  return isToday(at) ? time : `${day(at)} ${time}`;
}
