// What one can ask of a job, in its state: cancel first, which says what it will do.

import { address, get, post, remove } from "./api.js";
import { Button } from "./button.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { keepingFocus } from "./focus.js";
import { fate, noChanges, noCleanup } from "./job_rules.js";
import { forbidden } from "./me.js";
import { planSentence } from "./plan.js";
import { openReasonForm } from "./reason_form.js";
import { openRetryForm } from "./retry_form.js";
import { ended, kept, noCancel, noPause, noResume, noRetry } from "./rules.js";
import { showProblem } from "./said.js";

const GIVE_UP = {
  why: "A new attempt begins though a revert failed. Say what became of the effects that may remain: the history keeps it.",
  label: "Give them up and retry",
  look: "primary",
  needed: true,
};

/** The buttons of a job. */
export class Requests {
  /**
   * @param {Receipt} receipt
   * @param {function(Object=): void} changed called with the job as it then stands, if it is known
   */
  constructor(receipt, changed) {
    this.receipt = receipt;
    this.changed = changed;
    this.reason = element("input", {
      id: "reason",
      type: "text",
      maxlength: 1000,
      autocomplete: "off",
      placeholder: "Reason (optional)",
      "aria-label": "Reason for the cancel",
      onkeydown: (event) => event.key === "Enter" && this.cancel.button.click(),
    });
    this.plan = element("p", { class: "plan", id: "plan" });
    this.problem = element("div", {});
    this.refusedIn = null; // the state of which the problem tells
    this.cancel = new Button("Cancel job", () => this.#cancel(), "danger", "plan");
    this.pause = new Button("Pause", () => this.#send("pause"));
    this.resume = new Button("Resume", () => this.#send("resume"));
    this.retry = new Button("Retry", () => this.#send("retry"), "primary");
    this.retryWith = new Button("Retry with other arguments…", () => openRetryForm(this.job, this.changed));
    this.cleanup = new Button(
      "Run the failed reverts again",
      () => this.#send("retry", { cleanup: true }),
      "primary",
    );
    this.force = new Button("Give the effects up and retry…", () => this.#askForce());
    this.delete = new Button("Delete…", () => this.#askDelete(), "quiet");
    const rest = [this.retry, this.retryWith, this.cleanup, this.force, this.pause, this.resume, this.delete];
    this.cancelPlace = element("div", { class: "cancel-place" }, this.cancel.element, this.reason);
    fill(
      byId("requests"),
      element(
        "div",
        { class: "request-line" },
        this.cancelPlace,
        this.plan,
        rest.map((button) => button.element),
      ),
      this.problem,
    );
  }

  /** Tell what the job allows as it stands now. */
  show(job) {
    const moved = this.job?.state !== job.state;
    this.job = job;
    setAttribute(byId("requests"), "hidden", false); // before there is a job, there is nothing to ask for
    keepingFocus(() => this.#tellButtons(job));
    this.#tellPlan();
    if (moved && job.state !== this.refusedIn) showProblem(this.problem, null);
  }

  #tellButtons(job) {
    const allowed = forbidden("post");
    const open = isOpen(job) || job.state === "cancelling";
    this.cancel.set(job.state === "cancelling" ? "Being cancelled" : "Cancel job", allowed ?? noCancel(job));
    this.cancel.show(open || job.state === "completed");
    setAttribute(this.reason, "hidden", this.cancel.off || !open);
    this.pause.set("Pause", allowed ?? noPause(job));
    this.pause.show(job.state === "pending" || job.state === "running");
    this.resume.set("Resume", allowed ?? noResume(job));
    this.resume.show(job.state === "paused" || job.state === "pausing");
    const retriable = job.state === "failed" || job.state === "cancelled";
    this.retry.set(kept(job) ? "Go on at the failed task" : "Retry", allowed ?? noRetry(job));
    this.retry.show(retriable);
    this.retryWith.set("Retry with other arguments…", allowed ?? noChanges(job));
    this.retryWith.show(retriable && Object.keys(job.arguments).length > 0);
    this.cleanup.set("Run the failed reverts again", allowed ?? noCleanup(job));
    this.force.set("Give the effects up and retry…", allowed);
    this.cleanup.show(job.state === "revert_failed");
    this.force.show(job.state === "revert_failed");
    this.delete.set("Delete…", forbidden("admin") ?? fate(job));
  }

  async #tellPlan() {
    const { job } = this;
    const told = job.state + job.tasks.map((task) => task.state).join();
    if (told === this.planned) return;
    this.planned = told;
    const off = noCancel(job);
    if (off !== null) return this.#sayPlan(job.state === "completed" ? off : "");
    try {
      const plan = await get(`/api/jobs/${job.id}/cancel`);
      if (this.planned === told) this.#sayPlan(planSentence(plan));
    } catch (problem) {
      if (this.planned === told) this.planned = null;
    }
    return undefined;
  }

  /** What a cancel would do, and what one may not. */
  #sayPlan(sentence) {
    const said = [sentence, forbidden("post")].filter(Boolean).join(" ");
    setAttribute(this.plan, "hidden", !said);
    setText(this.plan, said);
  }

  async #cancel() {
    this.receipt.ask();
    const reason = this.reason.value.trim();
    await this.#send("cancel", reason ? { reason } : {});
  }

  async #send(request, body = {}) {
    this.refusedIn = null;
    try {
      const job = await post(`/api/jobs/${this.job.id}/${request}`, body);
      this.receipt.answered();
      this.reason.value = "";
      showProblem(this.problem, null);
      this.changed(job);
    } catch (problem) {
      this.receipt.answered();
      this.refusedIn = problem.state;
      showProblem(this.problem, problem);
      this.changed();
    }
  }

  #askForce() {
    openReasonForm("Give the effects up?", GIVE_UP, async (reason) => {
      this.changed(await post(`/api/jobs/${this.job.id}/retry`, { force: true, reason }));
    });
  }

  #askDelete() {
    const dirty = this.job.state === "revert_failed";
    openReasonForm(`Delete ${this.job.flow}?`, wordsOfDelete(this.job), async (reason) => {
      const left = await remove(address(`/api/jobs/${this.job.id}`, { force: dirty ? "true" : "", reason }));
      if (left === null) location.assign("/");
      else this.changed(left);
    });
  }
}

/** Whether there is something that a cancel would revert, or may be. */
function isOpen(job) {
  return !ended(job.state) || kept(job);
}

function wordsOfDelete(job) {
  const look = "danger";
  if (job.state === "revert_failed") {
    const why = "A revert failed, so effects may remain. Say what became of them.";
    return { why, label: "Delete for good", look, needed: true };
  }
  if (isOpen(job)) {
    const why = "It is cancelled and reverted first; then it is removed with its history and its log.";
    return { why, label: "Cancel and delete", look, needed: false };
  }
  const why = "It is removed with its history and its log. This cannot be undone.";
  return { why, label: "Delete for good", look, needed: false };
}
