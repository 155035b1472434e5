// Which of the selected jobs a request would reach; and why none, if it would reach none. Pure.

import { noCancel, noRetry, OPEN, RETRIABLE } from "./rules.js";
import { STATES } from "./states.js";
import { count, number, stateWord } from "./words.js";

/** Requests about many jobs. `perhaps`: states in which it depends on more than the state. */
export const CANCEL = {
  path: "cancel",
  verb: "Cancel",
  done: "cancelled",
  why: noCancel,
  states: OPEN,
  perhaps: "failed",
};
export const RETRY = {
  path: "retry",
  verb: "Retry",
  done: "retried",
  why: noRetry,
  states: RETRIABLE,
  perhaps: null,
};

/**
 * What a request reaches: these jobs, or all of a filter.
 * @typedef {Object} Reach
 * @property {Array} [jobs]
 * @property {Object} [filter] as the API takes it
 * @property {number|null} amount how many; null if only the server knows
 * @property {number|null} of how many are selected
 * @property {boolean} most whether some of them may be refused
 * @property {string|null} off why it reaches none
 */

/** @returns {Reach} of these jobs */
export function reachOfJobs(request, jobs) {
  const reached = jobs.filter((job) => request.why(job) === null);
  const off = jobs.length === 1 ? request.why(jobs[0]) : noneOf(jobs.length, request);
  return { jobs: reached, amount: reached.length, of: jobs.length, most: false, off: reached.length ? null : off };
}

/**
 * @param {{filter: Object, counts: Object<string, number>|null}} matching
 * @returns {Reach} of all that match a filter
 */
export function reachOfAll(request, { filter, counts }) {
  const perhaps = filter.state?.includes(request.perhaps) ?? false;
  const states = (filter.state ?? STATES).filter(
    (state) => request.states.has(state) || (state === request.perhaps && perhaps),
  );
  const amount = counts && sum(counts, states);
  const of = counts && sum(counts, filter.state ?? STATES);
  const off = states.length ? (amount === 0 ? noneOf(of, request) : null) : noneOfStates(filter.state, request);
  return { filter: { ...filter, state: states }, amount, of, most: perhaps, off };
}

/** What a button does: `Cancel 3 of 5 jobs`. */
export function reachWords({ verb, done }, { amount, of, most, off }) {
  if (off !== null) return verb;
  if (amount === null) return `${verb} all that match and can be ${done}`;
  const upTo = most ? "up to " : "";
  if (amount === of) return `${verb} ${upTo}${count(amount, "job")}`;
  return `${verb} ${upTo}${number(amount)} of ${count(of, "job")}`;
}

function sum(counts, states) {
  return states.reduce((all, state) => all + (counts[state] ?? 0), 0);
}

function noneOf(many, { done }) {
  return `None of the ${number(many)} selected can be ${done}.`;
}

function noneOfStates(states, { done }) {
  return `What is ${states.map(stateWord).join(" or ")} cannot be ${done}.`;
}
