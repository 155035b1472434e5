// The tasks of a job: state, bars of their time in each attempt, error, and where one is that does not respond.

import { attemptsOf } from "./attempts.js";
import { Axis } from "./axis.js";
import { dayClock } from "./day.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { Scale } from "./scale.js";
import { badge, setBadge } from "./signs.js";
import { now, seconds, timeElement } from "./times.js";
import { Track } from "./track.js";
import { detail, errorLine, going, percent, took } from "./words.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** All attempts, the last one open. */
export class Timeline {
  constructor() {
    this.attempts = new Map();
    this.job = null;
    this.#grow();
  }

  /**
   * Tell the job as it stands, with its history.
   * @param {{held: Array, earlier: boolean}} lines
   */
  show(job, lines) {
    this.job = job;
    const found = attemptsOf(lines.held);
    const current = found.find((one) => one.number === job.attempt) ?? empty(job);
    const earlier = found.filter((one) => one.number !== job.attempt);
    const cut = lines.earlier ? found.at(-1) : null; // the beginning of its history is not known
    for (const one of [current, ...earlier]) {
      this.#attempt(one).show({ ...one, cut: one === cut }, one === current ? job : null);
    }
    for (const [number, view] of this.attempts) {
      if (number !== current.number && !earlier.some((one) => one.number === number)) {
        view.element.remove();
        this.attempts.delete(number);
      }
    }
    const order = [...this.attempts.values()].sort((a, b) => b.number - a.number).map((view) => view.element);
    if (order.some((one, number) => byId("tasks").children[number] !== one)) fill(byId("tasks"), order);
  }

  #attempt(attempt) {
    if (!this.attempts.has(attempt.number)) {
      this.attempts.set(attempt.number, new AttemptView(attempt.number, attempt.number === this.job.attempt));
    }
    return this.attempts.get(attempt.number);
  }

  #grow() {
    this.attempts.forEach((view) => view.tick());
    setTimeout(() => this.#grow(), CALM.matches ? 1000 : 200);
  }
}

class AttemptView {
  constructor(number, open) {
    this.number = number;
    this.rows = new Map();
    this.axis = new Axis();
    this.summary = element("summary", {});
    this.body = element("tbody", {});
    const column = (name, ...told) => element("th", { scope: "col", class: name }, ...told);
    const head = element(
      "tr",
      {},
      column("task", "Task"),
      column("state", "State"),
      column("bars", element("span", { class: "visually-hidden" }, "Time"), this.axis.element),
      column("took", "Took"),
    );
    const table = element("table", { class: "tasks" }, element("thead", {}, head), this.body);
    this.element = element("details", { class: "attempt", open, "data-attempt": number }, this.summary, table);
  }

  /** @param {Object|null} job if this is its current attempt */
  show(attempt, job) {
    this.attempt = attempt;
    this.job = job;
    setAttribute(this.element, "data-current", job ? "" : null);
    if (!job && !this.left) {
      this.left = true; // another one has begun since
      this.element.open = false;
    }
    const known =
      job && job.tasks.length ? job.tasks : [...attempt.tasks.keys()].map((name) => earlierTask(name, attempt));
    const names = new Set(known.map((task) => task.name));
    for (const [name, row] of this.rows) {
      if (!names.has(name)) {
        row.remove();
        this.rows.delete(name);
      }
    }
    for (const task of known) {
      if (!this.rows.has(task.name)) this.#enter(task);
      this.rows.get(task.name).show(task, attempt.tasks.get(task.name) ?? [], attempt.marks, job?.error);
    }
    this.#tellSummary(known);
    this.tick(true);
  }

  tick(once = false) {
    const { from, to } = this.attempt;
    if (from === null || (to !== null && !once)) return;
    const at = now();
    const scale = new Scale(from, to ?? at);
    this.axis.place(scale, this.attempt.marks);
    this.rows.forEach((row) => row.tick(scale, at));
  }

  #enter(task) {
    const row = new TaskRow(task);
    this.rows.set(task.name, row);
    this.body.append(row.element, row.more);
  }

  #tellSummary(tasks) {
    const { from, to, number, cut } = this.attempt;
    const told = JSON.stringify([from, to, cut, tasks.length]);
    if (told === this.told) return;
    this.told = told;
    fill(
      this.summary,
      `Attempt ${number} · `,
      from === null ? "has not begun" : [to === null ? "since " : "", cut ? "before " : "", timeOf(from)],
      to === null ? null : `, ${cut ? "more than " : ""}${took((to - from) / 1000)}`,
      tasks.length ? null : " · no tasks yet",
    );
  }
}

class TaskRow {
  constructor(task) {
    this.state = badge(task.state);
    this.track = new Track();
    this.note = element("span", { class: "note" });
    this.took = element("span", {});
    this.element = element(
      "tr",
      { "data-task": task.name },
      element(
        "th",
        { scope: "row", class: "task" },
        element("span", { class: "task-name" }, task.name),
        this.note,
      ),
      element("td", { class: "state" }, this.state),
      element("td", { class: "bars" }, this.track.element),
      element("td", { class: "took number" }, this.took),
    );
    this.more = element("tr", { class: "more", hidden: true });
  }

  show(task, parts, marks, error) {
    this.task = task;
    this.parts = parts;
    setBadge(this.state, task.not_responding ? "not_responding" : task.state);
    const running = task.state === "running" ? percent(task.progress) : "";
    setText(this.note, [running, detail(task.detail)].filter(Boolean).join(" · "));
    this.track.show(parts, marks);
    this.#tellMore(task, error);
  }

  tick(scale, at) {
    this.track.place(scale, at);
    const sum = (kind) =>
      this.parts.filter((part) => part.kind === kind).reduce((all, part) => all + (part.to ?? at) - part.from, 0) /
      1000;
    const open = this.parts.some((part) => part.to === null);
    const told = (kind) => (open ? going(sum(kind)) : took(sum(kind)));
    const undone = this.parts.some((part) => part.kind === "revert") ? ` ↶ ${told("revert")}` : "";
    setText(this.took, this.parts.length ? told("execute") + undone : "");
    if (this.stuck)
      setText(this.stuck, `Does not respond for ${going(seconds(this.task.not_responding.since))}. It is here:`);
  }

  remove() {
    this.element.remove();
    this.more.remove();
  }

  #tellMore(task, error) {
    const own =
      task.error &&
      task.state !== "revert_failure" &&
      !(error?.task === task.name && error.message === task.error.message)
        ? task.error
        : null;
    const told = JSON.stringify([own, task.not_responding ?? null]);
    if (told === this.told) return;
    this.told = told;
    setAttribute(this.more, "hidden", !own && !task.not_responding);
    this.stuck = task.not_responding ? element("p", { class: "stuck" }) : null;
    const stack =
      task.not_responding &&
      element(
        "pre",
        { class: "stack", tabindex: 0, "aria-label": `Where ${task.name} is` },
        task.not_responding.stack,
      );
    fill(
      this.more,
      element(
        "td",
        { colspan: 4 },
        own && element("p", { class: "task-error" }, errorLine({ ...own, task: null })),
        this.stuck,
        stack,
      ),
    );
  }
}

function earlierTask(name, attempt) {
  const last = attempt.tasks.get(name).at(-1);
  return { name, state: last.state, progress: 0, detail: null, error: null };
}

function empty(job) {
  return { number: job.attempt, from: null, to: null, marks: [], tasks: new Map() };
}

function timeOf(at) {
  return timeElement(new Date(at).toISOString(), dayClock);
}
