// The list of jobs.

import { get } from "./api.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { Filters } from "./filters.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { cancelMany, retryMany } from "./many.js";
import { forbidden } from "./me.js";
import { Refresh } from "./refresh.js";
import { Rows } from "./rows.js";
import { showProblem } from "./said.js";
import { Selection } from "./selection.js";
import { count } from "./words.js";

let stats = null;
let jobs = [];

frame("jobs");
const list = new Refresh(fetchJobs, 500);
const numbers = new Refresh(fetchStats, 2000);
const again = () => {
  list.ask();
  numbers.ask();
};
const done = () => {
  selection.clear();
  list.now();
  numbers.now();
};
const selection = new Selection({
  changed: () => rows?.tellSelected(),
  cancel: (asked) => cancelMany(asked, done),
  retry: (asked) => retryMany(asked, done),
});
const rows = new Rows(selection, {
  cancel: (job) => cancelMany({ jobs: [job] }, done),
  retry: (job) => retryMany({ jobs: [job] }, done),
});
const filters = new Filters(() => {
  selection.clear();
  list.now();
  if (stats) filters.tellCounts(stats);
});
new Live(
  "/api/events",
  {
    state: again,
    progress: (event) => rows.progress(event.job, event.progress),
    gone: again,
  },
  again,
);

if (forbidden("post")) {
  byId("post-job").title = forbidden("post");
}
byId("older").addEventListener("click", (event) => turn(event, byId("older").dataset.cursor));
byId("newest").addEventListener("click", (event) => turn(event, ""));
addEventListener("keydown", toSearch);

async function fetchJobs() {
  const asked = filters.asked;
  try {
    const page = await get(asked);
    if (asked !== filters.asked) return list.ask();
    jobs = page.jobs.filter((job) => filters.fits(job));
    tellPages(page);
    tell();
    showProblem(byId("problem"), null);
  } catch (problem) {
    if (!problem.passes) showProblem(byId("problem"), problem);
    else setTimeout(() => list.ask(), 2000);
  }
}

async function fetchStats() {
  try {
    stats = await get("/api/stats");
    filters.tellCounts(stats);
    tell();
  } catch (problem) {
    if (!problem.passes) showProblem(byId("problem"), problem);
  }
}

function tell() {
  rows.show(jobs);
  selection.see(jobs, filters.asFilter, stats ? filters.countOf(stats) : 0);
  setAttribute(byId("listing"), "hidden", jobs.length === 0);
  setAttribute(byId("keys"), "hidden", jobs.length === 0);
  tellEmpty();
}

function tellPages(page) {
  const older = byId("older");
  older.dataset.cursor = page.next_cursor ?? "";
  older.href = filters.at(page.next_cursor ?? "");
  setAttribute(older, "hidden", !page.next_cursor);
  byId("newest").href = filters.at("");
  setAttribute(byId("newest"), "hidden", !filters.cursor);
  const looked = filters.words ? ` among the ${count(page.jobs.length, "job")} looked through` : "";
  setText(byId("range"), jobs.length ? `${count(jobs.length, "job")}${looked}` : "");
}

function tellEmpty() {
  const place = byId("empty");
  if (jobs.length === 0 && filters.any) {
    const clear = element("button", { type: "button", onclick: () => filters.clear() }, "Clear the filters");
    return once(place, "filtered", element("div", { class: "empty" }, element("p", {}, "No job matches."), clear));
  }
  if (jobs.length === 0) {
    const command = element(
      "p",
      {},
      "Post one here, or with ",
      element("code", {}, "poster post FLOW NAME=VALUE"),
      ".",
    );
    return once(
      place,
      "none",
      element("div", { class: "empty" }, element("p", {}, "There are no jobs yet."), command),
    );
  }
  if (stats && stats.conductors.alive === 0 && jobs.some((job) => job.state === "pending")) {
    const words = ["No conductor is alive, so nothing runs. Start one: ", element("code", {}, "conductor run")];
    return once(place, "no conductor", element("p", { class: "notice" }, words));
  }
  return once(place, "", null);
}

function once(place, kind, shown) {
  if (place.dataset.kind === kind) return;
  place.dataset.kind = kind;
  fill(place, shown);
}

function turn(event, cursor) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  filters.go(cursor);
  byId("main").focus();
  scrollTo(0, 0);
}

function toSearch(event) {
  const typing = event.target.matches("input, textarea, select, dialog *");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("search").focus();
  } else if (event.key === "Escape" && event.target === byId("search")) {
    document.querySelector("#rows tr[tabindex='0']")?.focus();
  }
}

list.now();
numbers.now();
