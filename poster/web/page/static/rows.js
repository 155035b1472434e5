// The rows of the list: kept by id, in the list's order, with one that the keyboard is at.

import { byId, setAttribute } from "./element.js";
import { Row } from "./row.js";

/** The body of the table. */
export class Rows {
  constructor(selection, requests) {
    this.rows = new Map();
    this.selection = selection;
    this.requests = requests;
    this.body = byId("rows");
    this.at = null; // id of the row that the keyboard is at
    this.anchor = null; // where a selection of many began
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("focusin", (event) => this.#stand(event.target.closest("tr")?.dataset.job));
    this.body.addEventListener("click", (event) => this.#clicked(event));
    setInterval(() => this.rows.forEach((row) => row.tick()), 1000);
  }

  /** Show these jobs, in this order. Rows that are there already stay where they are. */
  show(jobs) {
    const wanted = new Set(jobs.map((job) => job.id));
    for (const id of [...this.rows.keys()]) if (!wanted.has(id)) this.#leave(id);
    const ordered = new Map();
    let next = this.body.firstElementChild;
    for (const job of jobs) {
      const row = this.rows.get(job.id) ?? this.#enter(job);
      row.update(job);
      ordered.set(job.id, row);
      if (row.element === next) next = next.nextElementSibling;
      else this.body.insertBefore(row.element, next);
    }
    this.rows = ordered;
    if (!this.rows.has(this.at)) this.#stand(jobs[0]?.id ?? null);
    this.tellSelected();
  }

  /** What a stream says of a job's progress. */
  progress(event) {
    this.rows.get(event.job)?.progress(event);
  }

  /** Have the focus where the keyboard was last; what had it is gone. */
  focus() {
    (this.rows.get(this.at)?.element ?? byId("main")).focus({ preventScroll: true });
  }

  /** Show which are selected. */
  tellSelected() {
    for (const [id, row] of this.rows) {
      const selected = this.selection.has(id);
      row.pick.checked = selected;
      row.element.classList.toggle("selected", selected);
    }
  }

  #enter(job) {
    const row = new Row(job, this.requests);
    this.rows.set(job.id, row);
    return row;
  }

  #leave(id) {
    const { element } = this.rows.get(id);
    if (element.contains(document.activeElement))
      (element.nextElementSibling ?? element.previousElementSibling ?? byId("main")).focus();
    element.remove();
    this.rows.delete(id);
  }

  #stand(id) {
    if (this.at === id) return;
    const before = this.rows.get(this.at);
    if (before) before.element.tabIndex = -1;
    this.at = id ?? null;
    const here = this.rows.get(id);
    if (here) here.element.tabIndex = 0;
  }

  #clicked(event) {
    const row = event.target.closest("tr");
    if (event.target.type === "checkbox") this.#pick(row.dataset.job, event.target.checked, event.shiftKey);
    else if (row && !event.target.closest("a, button") && !getSelection().toString())
      row.focus({ preventScroll: true });
  }

  #pick(id, selected, many) {
    const ids = [...this.rows.keys()];
    const from = many && this.anchor ? ids.indexOf(this.anchor) : -1;
    const to = ids.indexOf(id);
    const picked = from < 0 ? [id] : ids.slice(Math.min(from, to), Math.max(from, to) + 1);
    this.anchor = id;
    this.selection.set(
      picked.map((one) => this.rows.get(one).job),
      selected,
    );
  }

  #key(event) {
    const row = event.target;
    if (row.tagName !== "TR" || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = row.dataset.job;
    const moves = {
      ArrowDown: row.nextElementSibling,
      j: row.nextElementSibling,
      ArrowUp: row.previousElementSibling,
      k: row.previousElementSibling,
      Home: this.body.firstElementChild,
      End: this.body.lastElementChild,
    };
    if (event.key in moves) moves[event.key]?.focus();
    else if (event.key === " ") this.#pick(id, !this.selection.has(id), event.shiftKey);
    else if (event.key === "Enter") location.assign(`/jobs/${id}`);
    else return;
    event.preventDefault();
  }
}
