// The head of a job's page: its state, its error before all else, how far it is.

import { byId, element, fill, setAttribute, setText } from "./element.js";
import { fate } from "./job_rules.js";
import { AT_WORK, ended } from "./rules.js";
import { badge, setBadge } from "./signs.js";
import { seconds } from "./times.js";
import { errorLine, going, percent, stateWord, took } from "./words.js";

/** State, error, progress and reason. */
export class Headline {
  constructor() {
    this.state = badge("pending");
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Progress of the job" });
    this.far = element("span", { class: "far" });
    this.reason = element("p", { class: "reason" });
    this.fate = element("p", { class: "fate" });
    fill(byId("how-far"), element("div", { class: "far-line" }, this.bar, this.far), this.reason, this.fate);
    setInterval(() => this.#tick(), 1000);
  }

  show(job) {
    this.job = job;
    setText(byId("flow"), job.flow);
    if (!this.state.isConnected) fill(byId("state"), this.state);
    setBadge(this.state, job.state);
    document.title = `${stateWord(job.state)}: ${job.flow} · Countermand`;
    this.#tellErrors(job);
    setText(this.reason, job.error && job.reason === errorLine(job.error) ? "" : (job.reason ?? ""));
    setText(this.fate, fate(job) ?? "");
    setAttribute(byId("how-far"), "class", `how-far ${job.state}`);
    setAttribute(this.bar, "hidden", ended(job.state) && job.state !== "completed");
    this.bar.value = job.progress;
    this.#tick();
  }

  #tick() {
    if (!this.job) return;
    const { state, progress, attempt, started_at: from, finished_at: to } = this.job;
    const said = [
      !ended(state) || state === "completed" ? percent(progress) : null,
      attempt > 1 ? `attempt ${attempt}` : null,
      from && to ? `took ${took(seconds(from, to))}` : null,
      from && AT_WORK.has(state) ? `runs for ${going(seconds(from))}` : null,
    ];
    setText(this.far, said.filter(Boolean).join(" · "));
  }

  #tellErrors(job) {
    const failed = job.tasks.filter(
      (task) => task.state === "revert_failure" && task.error && task.name !== job.error?.task,
    );
    const told = JSON.stringify([job.error, failed]);
    if (told === this.told) return;
    this.told = told;
    const reverts = failed.length
      ? element(
          "div",
          { class: "error-part" },
          element("h2", {}, "Not reverted, effects may remain"),
          failed.map((task) => errorText({ ...task.error, task: task.name })),
        )
      : null;
    const first = job.error
      ? element(
          "div",
          { class: "error-part" },
          element("h2", {}, job.error.task ? `Task “${job.error.task}” failed` : "Failed"),
          errorText({ ...job.error, task: null }),
        )
      : null;
    fill(
      byId("error"),
      first || reverts
        ? element("div", { class: "error-box", role: "group", "aria-label": "Error" }, reverts, first)
        : null,
    );
  }
}

function errorText(error) {
  const text = errorLine(error);
  const long = text.length > 300 || text.split("\n").length > 8;
  const region = long ? { tabindex: 0, role: "region", "aria-label": "What it said" } : {};
  return element("pre", { class: "error-text", ...region }, text);
}
