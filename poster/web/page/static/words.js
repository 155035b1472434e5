// How states, amounts and lengths of time are written for people.

/** A state, or a priority, as people read it. */
export function stateWord(state) {
  return state.replaceAll("_", " ");
}

/** A short form of an id: its time, and its last letters. */
export function shortId(id) {
  return id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
}

/** A length of time: `12 ms`, `3.21 s`, `12.3 s`, `2 m 05 s`, `1 h 02 m`, `3 d 04 h`. */
export function took(seconds) {
  if (seconds < 0.9995) return `${Math.max(0, seconds * 1000).toFixed(0)} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor((whole % 86400) / 3600))} h`;
}

/** A number with two digits, as clocks have it. */
export function two(number) {
  return String(number).padStart(2, "0");
}

/** A length of time that goes on, without what changes too fast to be read. */
export function going(seconds) {
  return seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : took(seconds);
}

/** How long ago, in its largest unit. */
export function age(seconds) {
  for (const [size, unit] of [
    [86400, "d"],
    [3600, "h"],
    [60, "m"],
  ]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** How far: 100 % only when it is all. */
export function percent(progress) {
  return `${Math.floor(progress * 100 + 1e-6)} %`;
}

const NUMBERS = new Intl.NumberFormat("en");

/** A number with its thousands told apart. */
export function number(value) {
  return typeof value === "number" ? NUMBERS.format(value) : String(value);
}

/** `1 job`, `3 jobs`. */
export function count(amount, noun) {
  return `${number(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}

/** Names of tasks, in a sentence. */
export function listed(names) {
  return names.map((name) => `“${name}”`).join(" and ");
}

/** What a task reports: `1,200 / 6,000`, and whatever else it says. */
export function detail(reported) {
  if (!reported) return "";
  const { done, total, ...rest } = reported;
  const said = Object.entries(rest)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${plain(value)}`);
  if (done !== undefined && done !== null) said.unshift(plain(done) + (total ? ` / ${plain(total)}` : ""));
  return said.join(", ");
}

/** Why: `pack: OSError: no space left`. */
export function errorLine(error) {
  const said = error.message ? `${error.type}: ${error.message}` : error.type;
  return error.task ? `${error.task}: ${said}` : said;
}

/** A value of arguments or results: text as it is, all else as JSON. */
export function value(given) {
  return typeof given === "string" ? given : JSON.stringify(given, null, 2);
}

function plain(given) {
  return typeof given === "object" ? JSON.stringify(given) : number(given);
}
