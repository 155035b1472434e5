// What happened in each attempt of a job, made from its history. Pure.

const INTERRUPTED = "interrupted"; // what a task says that was stopped, and did not fail by itself
const MARKS = { cancelling: "cancel", reverting: "failure", pausing: "pause", paused: "paused" };

const GOES_ON = new Set(["running", "cancelling", "reverting"]);
const RESTS = new Set(["pending", "paused", "completed", "failed", "cancelled", "revert_failed"]);

/**
 * @typedef {{kind: "execute"|"revert", from: number, to: number|null, state: string}} Part of a task's time
 * @typedef {{number: number, from: number, to: number|null, marks: Array<{at: number, what: string}>,
 *            tasks: Map<string, Part[]>, state: string|null}} Attempt
 */

/**
 * The attempts, the last one first. `to` is null of what goes on.
 * @param {Array} lines of the history, by their numbers
 * @returns {Attempt[]}
 */
export function attemptsOf(lines) {
  const attempts = new Map();
  for (const line of lines) {
    const at = Date.parse(line.at);
    if (!attempts.has(line.attempt)) attempts.set(line.attempt, fresh(line.attempt));
    const attempt = attempts.get(line.attempt);
    if (line.kind === "state") tellState(attempt, line, at);
    else if (line.kind === "task") tellTask(attempt, line, at);
  }
  return [...attempts.values()].filter((attempt) => attempt.from !== null).sort((a, b) => b.number - a.number);
}

function fresh(number) {
  return { number, from: null, to: null, marks: [], tasks: new Map(), state: null };
}

function tellState(attempt, line, at) {
  const before = attempt.state;
  attempt.state = line.state;
  if (GOES_ON.has(line.state)) {
    attempt.from ??= at;
    attempt.to = null;
  }
  if (line.data?.epoch) endParts(attempt, at); // another conductor goes on: what ran on the one before has ended
  if (MARKS[line.state] && isNews(before, line)) attempt.marks.push({ at, what: MARKS[line.state] });
  if (RESTS.has(line.state)) {
    endParts(attempt, at);
    if (attempt.from !== null) attempt.to ??= at; // what waits, for a conductor or the next attempt, does not run
  }
}

/** Whether a line tells what befell the job: a claim moves no state, and reverts that run again are no cancel. */
function isNews(before, line) {
  return !line.data?.epoch && before !== line.state && before !== "revert_failed";
}

function tellTask(attempt, line, at) {
  if (line.state === "not_responding") return;
  attempt.from ??= at;
  if (!attempt.tasks.has(line.task)) attempt.tasks.set(line.task, []);
  const parts = attempt.tasks.get(line.task);
  const last = parts.at(-1);
  if (line.state === "running" || line.state === "reverting") {
    if (last && last.to === null) last.to = at;
    parts.push({ kind: line.state === "running" ? "execute" : "revert", from: at, to: null, state: line.state });
  } else if (last && last.to === null) {
    Object.assign(last, { to: at, state: line.message === INTERRUPTED ? INTERRUPTED : line.state });
  } else {
    const kind = line.state.startsWith("revert") ? "revert" : "execute";
    parts.push({ kind, from: at, to: at, state: line.state });
  }
}

function endParts(attempt, at) {
  for (const parts of attempt.tasks.values()) {
    const last = parts.at(-1);
    if (last && last.to === null) Object.assign(last, { to: at, state: "failure" });
  }
}
