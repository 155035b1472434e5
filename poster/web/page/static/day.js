// Times of day, with the date where it is not today's.

import { clock, moment, now } from "./times.js";

/** Whether a moment is of this day, in this zone. */
export function isToday(at) {
  return date(at) === date(now());
}

/** The time of a moment. */
export function dayClock(at, milliseconds = false) {
  const time = clock(at, milliseconds);
  return isToday(at) ? time : `${date(at)} ${time}`;
}

function date(at) {
  return moment(at).split(" ")[0];
}
