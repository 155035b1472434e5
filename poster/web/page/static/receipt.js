// The receipt of a cancel, as it comes: accepted, delivered, stopped, reverted, cancelled.

import { dayClock } from "./day.js";
import { byId, element, fill, setAttribute } from "./element.js";
import { say } from "./said.js";
import { sign } from "./signs.js";
import { seconds, timeElement } from "./times.js";
import { listed, took } from "./words.js";

const SIGNS = { done: "success", now: "reverting", bad: "revert_failed", waits: "pending" };

/** What became of the cancel of a job's current attempt. */
export class Receipt {
  constructor() {
    this.place = byId("receipt");
    this.asked = false; // a cancel, of which no answer has come yet
    this.told = "";
    this.of = undefined; // when the cancel was asked for of which `heard` is; null: there is none
    this.heard = new Set(); // its steps that were said aloud, or were done before this page was opened
  }

  /**
   * Show it; nothing if there was none.
   * @param {Object} job
   * @param {string[]} final tasks that had begun, and cannot be undone
   */
  show(job, final) {
    if (this.asked && !job.cancel) return;
    setAttribute(this.place, "hidden", !job.cancel);
    const steps = job.cancel ? stepsOf(job) : [];
    this.#sayNew(job.cancel?.requested_at ?? null, steps);
    const told = JSON.stringify([job.cancel, job.state, job.conductor, job.reason, job.finished_at, final]);
    if (!job.cancel || this.told === told) return;
    this.told = told;
    const left = final.length
      ? element("p", { class: "not-undone" }, `${listed(final)} had begun and cannot be undone.`)
      : null;
    fill(this.place, element("h2", {}, title(job)), element("ol", { class: "steps" }, steps.map(step)), left);
  }

  /** Show that a cancel was asked for, before there is an answer. */
  ask() {
    this.asked = true;
    this.told = "";
    setAttribute(this.place, "hidden", false);
    fill(
      this.place,
      element("h2", {}, "Cancelling"),
      element("ol", { class: "steps" }, step(["now", "Asking for the cancel", null])),
    );
  }

  /** There is an answer now. What is shown next is what became of it: nothing, if there was no cancel before. */
  answered() {
    this.asked = false;
    setAttribute(this.place, "hidden", true);
  }

  /** Each step once, but not the last one: it is the job's state, which is said anyway. */
  #sayNew(of, steps) {
    const done = steps.slice(0, -1).filter(([how]) => how === "done" || how === "bad");
    const first = this.of === undefined;
    if (of !== this.of) this.heard.clear();
    this.of = of;
    for (const [, what] of done) {
      if (!first && !this.heard.has(what)) say(`Cancel: ${what.toLowerCase()}.`);
      this.heard.add(what);
    }
  }
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
    timeElement(cancel.requested_at, (at) => dayClock(at)),
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
