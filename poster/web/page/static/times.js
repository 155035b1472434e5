// Times: in the zone of this browser, in UTC on hover; and ages that grow by themselves.

import { byId, element, setText } from "./element.js";
import { age, two } from "./words.js";

let ahead = 0; // milliseconds that the server's clock is ahead of ours

/** Hear what time it is on the server. */
export function serverSaid(at) {
  ahead = Date.parse(at) - Date.now();
}

/** Now, in milliseconds, by the server's clock. */
export function now() {
  return Date.now() + ahead;
}

/** A moment as milliseconds; null for none. */
export function parsed(at) {
  return at ? Date.parse(at) : null;
}

/** Seconds from one moment to another, or to now. */
export function seconds(from, to = null) {
  return ((to === null ? now() : Date.parse(to)) - Date.parse(from)) / 1000;
}

/** A moment in this zone, to the second: `2026-01-31 14:02:05`. */
export function moment(at) {
  return `${day(at)} ${clock(at)}`;
}

/** The day in this zone. */
export function day(at) {
  const time = new Date(at);
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/** The time of day in this zone, to the minute. */
export function shortClock(at) {
  return clock(at).slice(0, 5);
}

/** The time of day in this zone. */
export function clock(at, milliseconds = false) {
  const time = new Date(at);
  const whole = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return milliseconds ? `${whole}.${String(time.getMilliseconds()).padStart(3, "0")}` : whole;
}

/** The same in UTC. */
export function utc(at) {
  return `${new Date(at).toISOString().replace("T", " ").slice(0, 23)} UTC`;
}

/** An element that says a moment. */
export function timeElement(at, how = moment) {
  return element("time", { datetime: at, title: utc(at) }, how(at));
}

/** An element that says how long ago a moment was, and goes on saying it. */
export function ageElement(at) {
  const made = element("time", { datetime: at, title: `${moment(at)} (${utc(at)})`, "data-age": "" });
  grow(made);
  return made;
}

/** Say in the page's last line which zone its times are in. */
export function tellZone() {
  const offset = -new Date().getTimezoneOffset();
  const said = `UTC${offset < 0 ? "−" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  setText(byId("zone"), `Times are in ${zone && zone !== "UTC" ? `${zone} (${said})` : said}`);
}

function grow(aged) {
  setText(aged, age(seconds(aged.dateTime)));
}

setInterval(() => document.querySelectorAll("time[data-age]").forEach(grow), 1000);
