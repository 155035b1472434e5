// The receipt of a cancel, as it comes: accepted, delivered, stopped, reverted, cancelled.

import { byId, element, fill, setAttribute } from "./element.js";
import { sign } from "./signs.js";
import { clock, seconds, timeElement } from "./times.js";
import { listed, took } from "./words.js";

const SIGNS = { done: "success", now: "reverting", bad: "revert_failed", waits: "pending" };

let asked = false; // a cancel, of which no answer has come yet

/**
 * Show what became of the cancel of a job's current attempt; nothing if there was none.
 * @param {Object} job
 * @param {string[]} final tasks that had begun, and cannot be undone
 */
export function showReceipt(job, final) {
  const place = byId("receipt");
  if (asked && !job.cancel) return;
  setAttribute(place, "hidden", !job.cancel);
  const told = JSON.stringify([job.cancel, job.state, job.finished_at, final]);
  if (!job.cancel || place.dataset.told === told) return;
  place.dataset.told = told;
  const steps = element("ol", { class: "steps" }, stepsOf(job).map(step));
  const left = final.length
    ? element("p", { class: "not-undone" }, `${listed(final)} had begun and cannot be undone.`)
    : null;
  fill(place, element("h2", {}, title(job)), steps, left);
}

/** Show that a cancel was asked for, before there is an answer. */
export function showAsked() {
  const place = byId("receipt");
  asked = true;
  place.dataset.told = "";
  setAttribute(place, "hidden", false);
  fill(
    place,
    element("h2", {}, "Cancelling"),
    element("ol", { class: "steps" }, step(["now", "Asking for the cancel", null])),
  );
}

/** There is an answer now, whatever it says. */
export function hideAsked() {
  asked = false;
}

function title(job) {
  if (job.state === "cancelled") return "Cancelled";
  if (job.state === "revert_failed") return "Cancelled, but not all was reverted";
  return "Cancelling";
}

function stepsOf(job) {
  const { cancel } = job;
  const after = (at) => `after ${took(seconds(cancel.requested_at, at))}`;
  const who = element(
    "span",
    {},
    `by ${cancel.by} at `,
    timeElement(cancel.requested_at, (at) => clock(at)),
    cancel.reason ? `: ${cancel.reason}` : "",
  );
  const steps = [["done", "Accepted", who]];
  const over = job.state === "cancelled" || job.state === "revert_failed";
  if (!over || cancel.delivered_at) {
    steps.push(
      cancel.delivered_at
        ? ["done", "Delivered", after(cancel.delivered_at)]
        : ["now", "Being delivered", job.conductor ? `to ${job.conductor}` : "waits for a conductor"],
    );
  }
  if (!over || cancel.stopped_at) {
    const waits = cancel.delivered_at
      ? ["now", "Stopping", job.reason?.includes("respond") ? job.reason : "running tasks are interrupted"]
      : ["waits", "Stop", null];
    steps.push(cancel.stopped_at ? ["done", "Stopped", after(cancel.stopped_at)] : waits);
  }
  if (!over || cancel.total) steps.push(revertStep(job, over));
  steps.push(lastStep(job, over, after));
  return steps;
}

function revertStep({ cancel, state }, over) {
  const amount = `${cancel.reverted}/${cancel.total}`;
  if (over) return [state === "cancelled" ? "done" : "bad", `Reverted ${amount}`, null];
  if (cancel.reverted === cancel.total && cancel.stopped_at) return ["done", `Reverted ${amount}`, null];
  return cancel.stopped_at
    ? ["now", `Reverting ${amount}`, null]
    : ["waits", `Revert ${cancel.total ? `0/${cancel.total}` : ""}`, null];
}

function lastStep(job, over, after) {
  if (!over) return ["waits", "Cancelled", null];
  const when = job.finished_at ? after(job.finished_at) : null;
  return job.state === "cancelled" ? ["done", "Cancelled", when] : ["bad", "Revert failed", when];
}

function step([how, what, more]) {
  const told = element("span", { class: "step-word" }, what);
  return element(
    "li",
    { class: `step ${how}` },
    sign(SIGNS[how]),
    element("span", { class: "step-told" }, told, more && element("span", { class: "step-more" }, more)),
  );
}
