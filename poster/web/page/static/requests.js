// What one can ask of a job, in its state: cancel first, which says what it will do.

import { address, get, post, remove } from "./api.js";
import { Button } from "./button.js";
import { closing, openDialog, reasonField } from "./dialog.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { forbidden } from "./me.js";
import { planSentence } from "./plan.js";
import { hideAsked, showAsked } from "./receipt.js";
import { openRetryForm } from "./retry_form.js";
import { ended, kept, noCancel, noPause, noResume, noRetry } from "./rules.js";
import { say, showProblem } from "./said.js";

/** The buttons of a job. */
export class Requests {
  /** @param {function(Object=): void} changed called with the job as it then stands, if it is known */
  constructor(changed) {
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
    this.cancel = new Button("Cancel job", () => this.#cancel(), "danger");
    this.pause = new Button("Pause", () => this.#send("pause"));
    this.resume = new Button("Resume", () => this.#send("resume"));
    this.retry = new Button("Retry", () => this.#send("retry"), "primary");
    this.retryWith = new Button("Retry with other arguments…", () =>
      openRetryForm(this.job, (job) => this.changed(job)),
    );
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
    const allowed = forbidden("post");
    const open = !ended(job.state) || kept(job) || job.state === "cancelling";
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
    this.retryWith.set("Retry with other arguments…", allowed);
    this.retryWith.show(retriable && !kept(job) && Object.keys(job.arguments).length > 0);
    this.cleanup.set("Run the failed reverts again", allowed);
    this.force.set("Give the effects up and retry…", allowed);
    this.cleanup.show(job.state === "revert_failed");
    this.force.show(job.state === "revert_failed");
    this.delete.set("Delete…", forbidden("admin"));
    this.#tellPlan();
    if (moved) showProblem(this.problem, null);
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
      if (this.planned !== told) return undefined;
      this.#sayPlan(planSentence(plan));
      if (!this.cancel.off) setAttribute(this.cancel.button, "aria-describedby", "plan");
    } catch (problem) {
      if (this.planned === told) this.planned = null;
    }
    return undefined;
  }

  /** What a cancel would do, and what one may not: a title is nothing that a finger can find. */
  #sayPlan(sentence) {
    const said = [sentence, forbidden("post")].filter(Boolean).join(" ");
    setAttribute(this.plan, "hidden", !said);
    setText(this.plan, said);
  }

  async #cancel() {
    showAsked();
    const reason = this.reason.value.trim();
    await this.#send("cancel", reason ? { reason } : {});
  }

  async #send(request, body = {}) {
    try {
      const job = await post(`/api/jobs/${this.job.id}/${request}`, body);
      hideAsked();
      this.reason.value = "";
      showProblem(this.problem, null);
      this.changed(job);
      if (request === "cancel") say("The cancel is accepted.");
    } catch (problem) {
      hideAsked();
      showProblem(this.problem, problem);
      this.changed();
    }
  }

  #askForce() {
    const why =
      "A new attempt begins though a revert failed. Say what became of the effects that may remain: the history keeps it.";
    this.#askReason("Give the effects up?", why, "Give them up and retry", "primary", true, async (reason) => {
      this.changed(await post(`/api/jobs/${this.job.id}/retry`, { force: true, reason }));
    });
  }

  #askDelete() {
    const { state } = this.job;
    const dirty = state === "revert_failed";
    const open = !ended(state) || kept(this.job);
    const why = dirty
      ? "A revert failed, so effects may remain. Say what became of them."
      : open
        ? "It is cancelled and reverted first; then it is removed with its history and its log."
        : "It is removed with its history and its log. This cannot be undone.";
    this.#askReason(
      `Delete ${this.job.flow}?`,
      why,
      open ? "Cancel and delete" : "Delete for good",
      "danger",
      dirty,
      async (reason) => {
        const left = await remove(address(`/api/jobs/${this.job.id}`, { force: dirty ? "true" : "", reason }));
        if (left === null) location.assign("/");
        else this.changed(left);
      },
    );
  }

  #askReason(title, why, label, look, needed, act) {
    const reason = reasonField("ask-reason", needed ? "What became of the effects" : "Reason (optional)", needed);
    const problem = element("div", {});
    openDialog(title, (close) => {
      const go = new Button(
        label,
        async () => {
          if (needed && !reason.field.value.trim()) return showProblem(problem, new Error("Wants a reason."));
          try {
            await act(reason.field.value.trim());
            return close();
          } catch (failed) {
            return showProblem(problem, failed);
          }
        },
        look,
      );
      return [
        element("div", { class: "dialog-body" }, element("p", { class: "about" }, why), reason.element),
        problem,
        closing(close, go.element),
      ];
    });
  }
}
