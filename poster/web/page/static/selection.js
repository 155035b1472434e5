// Which jobs are selected, and what can be done with them.

import { Button } from "./button.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { forbidden } from "./me.js";
import { CANCEL, reachOfAll, reachOfJobs, reachWords, RETRY } from "./reach.js";
import { count, number } from "./words.js";

/** Selected jobs: these ones, or all that match a filter. */
export class Selection {
  /** @param {{changed: function(): void, ask: function(Object, Object): void, left: function(): void}} how */
  constructor(how) {
    this.jobs = new Map();
    this.whole = false; // all that match the page's filter; else the ones in `jobs`
    this.matching = null;
    this.how = how;
    this.shown = [];
    this.told = element("strong", {});
    this.why = element("span", { class: "spring hint", id: "why-not" });
    this.cancel = new Button("Cancel", () => how.ask(CANCEL, this.#reach(CANCEL)), "danger");
    this.retry = new Button("Retry", () => how.ask(RETRY, this.#reach(RETRY)));
    this.all = element("button", { type: "button", class: "quiet", onclick: () => this.selectAll() });
    const leave = () => {
      this.clear();
      how.left();
    };
    const clear = element("button", { type: "button", class: "quiet", onclick: leave }, "Clear selection");
    fill(byId("selection"), this.told, this.all, this.why, this.retry.element, this.cancel.element, clear);
    byId("pick-all").addEventListener("change", (event) => this.set(this.shown, event.target.checked));
  }

  has(id) {
    return this.whole || this.jobs.has(id);
  }

  /** Select jobs, or no longer. */
  set(jobs, selected) {
    if (this.whole) this.#onlyShown();
    for (const job of jobs) {
      if (selected) this.jobs.set(job.id, job);
      else this.jobs.delete(job.id);
    }
    this.#tell();
  }

  /** All that match the page's filter, also those that are not shown. */
  selectAll() {
    this.whole = true;
    this.#tell();
    this.cancel.button.focus();
  }

  clear() {
    this.whole = false;
    this.jobs.clear();
    this.#tell();
  }

  /**
   * What is shown now.
   * @param {Array} jobs
   * @param {{filter: Object, counts: Object|null, total: number|null, more: boolean}} matching all
   *   that the page's filter lets through; `total` is null if only the server knows it
   */
  see(jobs, matching) {
    this.shown = jobs;
    this.matching = matching;
    for (const job of jobs) if (this.jobs.has(job.id)) this.jobs.set(job.id, job);
    this.#tell();
  }

  #onlyShown() {
    this.whole = false;
    for (const job of this.shown) this.jobs.set(job.id, job);
  }

  #reach(request) {
    return this.whole ? reachOfAll(request, this.matching) : reachOfJobs(request, [...this.jobs.values()]);
  }

  #tell() {
    setAttribute(byId("selection"), "hidden", !this.whole && this.jobs.size === 0);
    setText(this.told, this.whole ? `${this.#allWords("All")} selected` : `${number(this.jobs.size)} selected`);
    const every = this.shown.length > 0 && this.shown.every((job) => this.has(job.id));
    byId("pick-all").checked = every;
    byId("pick-all").indeterminate = !every && this.shown.some((job) => this.has(job.id));
    setText(this.all, this.#allWords("Select all"));
    setAttribute(this.all, "hidden", this.whole || !every || !this.matching.more);
    this.#tellRequests();
    this.how.changed();
  }

  #allWords(all) {
    const total = this.matching?.total ?? null;
    return `${all} ${total === null ? "" : `${count(total, "job")} `}that match`;
  }

  /** Why a button is off stands beside it: a title is nothing that a finger can find. */
  #tellRequests() {
    const why = new Set();
    for (const [request, button] of [
      [CANCEL, this.cancel],
      [RETRY, this.retry],
    ]) {
      const reach = this.#reach(request);
      const off = forbidden("post") ?? reach.off;
      button.set(reachWords(request, reach), off);
      if (off) why.add(off);
    }
    setText(this.why, [...why].join(" "));
  }
}
