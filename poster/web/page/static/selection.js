// Which jobs are selected, and what can be done with them.

import { Button } from "./button.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { forbidden } from "./me.js";
import { noCancel, noRetry } from "./rules.js";
import { count, number } from "./words.js";

const RETRIABLE = new Set(["failed", "cancelled"]);
const NOT_OPEN = new Set(["completed", "cancelled", "revert_failed", "cancelling"]);

/** Selected jobs: these ones, or all that match a filter. */
export class Selection {
  /** @param {{changed: function(): void, cancel: function(Object): void, retry: function(Object): void}} how */
  constructor(how) {
    this.jobs = new Map();
    this.filter = null; // all that match it; null: the ones in `jobs`
    this.total = 0; // how many match the filter of the page
    this.how = how;
    this.shown = [];
    this.told = element("strong", {});
    this.cancel = new Button("Cancel", () => how.cancel(this.#asked(noCancel)), "danger");
    this.retry = new Button("Retry", () => how.retry(this.#asked(noRetry)));
    this.all = element("button", { type: "button", class: "quiet", onclick: () => this.selectAll() });
    const clear = element(
      "button",
      { type: "button", class: "quiet", onclick: () => this.clear() },
      "Clear selection",
    );
    fill(
      byId("selection"),
      this.told,
      this.all,
      element("span", { class: "spring hint" }, forbidden("post")),
      this.retry.element,
      this.cancel.element,
      clear,
    );
    byId("pick-all").addEventListener("change", (event) => this.set(this.shown, event.target.checked));
  }

  has(id) {
    return this.filter !== null || this.jobs.has(id);
  }

  /** Select jobs, or no longer. */
  set(jobs, selected) {
    if (this.filter) this.#onlyShown();
    for (const job of jobs) {
      if (selected) this.jobs.set(job.id, job);
      else this.jobs.delete(job.id);
    }
    this.#tell();
  }

  /** All that match the page's filter, also those that are not shown. */
  selectAll() {
    this.filter = this.matching;
    this.#tell();
    this.cancel.button.focus();
  }

  clear() {
    this.filter = null;
    this.jobs.clear();
    this.#tell();
  }

  /**
   * What is shown now.
   * @param {Array} jobs
   * @param {Object|null} matching the page's filter, if all that match it can be asked for
   * @param {number} total how many match it
   */
  see(jobs, matching, total) {
    this.shown = jobs;
    this.matching = matching;
    this.total = total;
    for (const job of jobs) if (this.jobs.has(job.id)) this.jobs.set(job.id, job);
    this.#tell();
  }

  #onlyShown() {
    this.filter = null;
    for (const job of this.shown) this.jobs.set(job.id, job);
  }

  #asked(why) {
    if (this.filter) return { filter: this.filter, total: this.total };
    return { jobs: [...this.jobs.values()].filter((job) => why(job) === null) };
  }

  #tell() {
    const many = this.filter ? this.total : this.jobs.size;
    setAttribute(byId("selection"), "hidden", many === 0);
    setText(this.told, this.filter ? `All ${count(this.total, "job")} that match` : `${number(many)} selected`);
    const whole = this.shown.length > 0 && this.shown.every((job) => this.has(job.id));
    byId("pick-all").checked = whole;
    byId("pick-all").indeterminate = !whole && this.shown.some((job) => this.has(job.id));
    setText(this.all, `Select all ${count(this.total, "job")} that match`);
    setAttribute(
      this.all,
      "hidden",
      this.filter !== null || !this.matching || !whole || this.total <= this.shown.length,
    );
    if (this.filter) this.#tellOfAll();
    else this.#tellOfSome();
    this.how.changed();
  }

  #tellOfAll() {
    const states = this.filter.state ?? [];
    const closed = states.length > 0 && states.every((state) => NOT_OPEN.has(state));
    const fresh = states.length > 0 && !states.some((state) => RETRIABLE.has(state));
    const asked = states.length ? `all ${number(this.total)}` : "all";
    this.cancel.set(
      states.length ? `Cancel ${asked} jobs` : "Cancel all that have not ended",
      forbidden("post") ?? (closed ? "Jobs of these states cannot be cancelled." : null),
    );
    this.retry.set(
      states.length ? `Retry ${asked} jobs` : "Retry all failed and cancelled",
      forbidden("post") ?? (fresh ? "Only failed and cancelled jobs can be retried." : null),
    );
  }

  #tellOfSome() {
    this.#tellOne(this.cancel, "Cancel", noCancel, "cancelled");
    this.#tellOne(this.retry, "Retry", noRetry, "retried");
  }

  #tellOne(button, verb, why, done) {
    const jobs = [...this.jobs.values()];
    const can = jobs.filter((job) => why(job) === null).length;
    const off =
      can > 0
        ? null
        : jobs.length === 1
          ? why(jobs[0])
          : `None of the ${number(jobs.length)} selected can be ${done}.`;
    const of = can > 0 && can < jobs.length ? ` of ${number(jobs.length)}` : "";
    button.set(
      can === 0 ? verb : `${verb} ${number(can)}${of} job${can === 1 && !of ? "" : "s"}`,
      forbidden("post") ?? off,
    );
  }
}
