// One job in the list. It changes in place: who has the focus in it, or has selected it, loses nothing.

import { Button } from "./button.js";
import { element, setAttribute, setText } from "./element.js";
import { fate } from "./job_rules.js";
import { forbidden } from "./me.js";
import { AT_WORK, ended, noCancel, noRetry, RETRIABLE } from "./rules.js";
import { badge, setBadge } from "./signs.js";
import { ageElement, seconds } from "./times.js";
import { errorLine, going, percent, shortId, took } from "./words.js";

const UNDOING = new Set(["cancelling", "reverting"]);

/** A row of the table. */
export class Row {
  /**
   * @param {Object} job
   * @param {{cancel: function(Object): void, retry: function(Object): void}} requests
   */
  constructor(job, requests) {
    this.state = badge(job.state);
    this.link = element("a", { href: `/jobs/${job.id}`, class: "flow" }, job.flow);
    this.why = element("span", { class: "why" });
    this.more = element("span", { class: "more" });
    this.bar = element("progress", { max: 1, value: 0, "aria-label": `Progress of ${job.flow} ${job.id}` });
    this.far = element("span", { class: "far" });
    this.took = element("span", {});
    this.attempt = element("span", {});
    this.conductor = element("span", {});
    this.act = new Button(
      "Cancel",
      () => (noRetry(this.job) === null ? requests.retry(this.job) : requests.cancel(this.job)),
      "small",
    );
    this.pick = element("input", { type: "checkbox", "aria-label": `Select ${job.flow} ${job.id}` });
    this.element = this.#built(job);
    this.update(job);
  }

  /** Tell the job as it stands now. */
  update(job) {
    const changed = this.job && this.job.state !== job.state;
    this.job = job;
    setBadge(this.state, job.state);
    setAttribute(this.element, "class", `job-row ${job.state}${changed ? " changed" : ""}`);
    const why = whyOf(job);
    setText(this.why, why);
    setAttribute(this.why, "title", why || null);
    setText(this.attempt, String(job.attempt));
    setText(this.conductor, job.conductor ?? "");
    setText(this.more, [job.attempt > 1 && `attempt ${job.attempt}`, job.conductor].filter(Boolean).join(", "));
    this.#tellAct();
    this.progress(job);
    this.tick();
  }

  /**
   * How far it is.
   * @param {{attempt: number, progress: number, tasks: Array<{state: string}>}} told by the list, or by a stream
   */
  progress({ attempt, progress, tasks }) {
    const { state } = this.job;
    if (attempt !== this.job.attempt) return;
    const begun = tasks.filter((task) => task.state !== "pending").length;
    const reverted = tasks.filter((task) => task.state === "reverted").length;
    const undoing = UNDOING.has(state) && begun > 0;
    const shown = undoing ? reverted / begun : progress;
    this.bar.value = shown;
    setAttribute(this.bar, "hidden", ended(state) && state !== "completed");
    const words = undoing ? `${reverted}/${begun} reverted` : percent(shown);
    setText(this.far, ended(state) && state !== "completed" ? "" : words);
  }

  /** What time changes. How long one ran that now waits is not known here. */
  tick() {
    const { state, started_at: from, finished_at: to } = this.job;
    const goesOn = AT_WORK.has(state) && from ? going(seconds(from)) : "";
    setText(this.took, from && to ? took(seconds(from, to)) : goesOn);
  }

  #tellAct() {
    const retry = RETRIABLE.has(this.job.state) || this.job.state === "revert_failed";
    const off = forbidden("post") ?? (retry ? noRetry(this.job) : noCancel(this.job));
    this.act.set(retry ? "Retry" : "Cancel", off);
    setAttribute(this.act.button, "aria-label", `${retry ? "Retry" : "Cancel"} ${this.job.flow} ${this.job.id}`);
  }

  #built(job) {
    const id = element("code", { class: "id", title: job.id }, shortId(job.id));
    const cell = (name, ...children) => element("td", { class: name }, ...children);
    return element(
      "tr",
      { "data-job": job.id, tabindex: -1 },
      cell("pick", this.pick),
      cell("state", this.state),
      element(
        "th",
        { scope: "row", class: "job" },
        element("span", { class: "named" }, this.link, id),
        this.why,
        this.more,
      ),
      cell("progress", element("span", { class: "progress-place" }, this.bar, this.far)),
      cell("number age", ageElement(job.posted_at)),
      cell("number took", this.took),
      cell("number attempt", this.attempt),
      cell("conductor", this.conductor),
      cell("act", this.act.element),
    );
  }
}

function whyOf(job) {
  if (fate(job)) return fate(job);
  if (job.error) return errorLine(job.error);
  return job.reason ?? (job.key ? `key ${job.key}` : "");
}
