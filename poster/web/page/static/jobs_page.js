// The list of jobs.

import { byId, setAttribute, setText } from "./element.js";
import { Emptiness } from "./emptiness.js";
import { Filters } from "./filters.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { askMany } from "./many.js";
import { forbidden } from "./me.js";
import { CANCEL, reachOfJobs, RETRY } from "./reach.js";
import { Reading } from "./reading.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";
import { count } from "./words.js";

const PAUSE_MS = 500;
const SEARCH_PAUSE_MS = 2000; // the server looks through thousands of jobs

let stats = null;
let page = null; // until the first list is there

frame("jobs");
const filters = new Filters(refilter);
const list = new Reading(() => filters.asked, showPage, pause());
const numbers = new Reading(() => "/api/stats", showStats, 2000);
const selection = new Selection({
  changed: () => rows.tellSelected(),
  ask: (request, reach) => askMany(request, reach, done, () => rows.focus()),
  left: () => rows.focus(),
});
const rows = new Rows(selection, {
  cancel: (job) => askMany(CANCEL, reachOfJobs(CANCEL, [job]), done),
  retry: (job) => askMany(RETRY, reachOfJobs(RETRY, [job]), done),
});
const emptiness = new Emptiness(filters, () => turn(byId("older").dataset.cursor));
new Live("/api/events", { state: again, progress: (event) => rows.progress(event), gone: again }, again);

if (forbidden("post")) {
  byId("post-job").title = forbidden("post");
}
byId("older").addEventListener("click", (event) => turnBy(event, byId("older").dataset.cursor));
byId("newest").addEventListener("click", (event) => turnBy(event, ""));
addEventListener("keydown", toSearch);

function pause() {
  return filters.words ? SEARCH_PAUSE_MS : PAUSE_MS;
}

function again() {
  list.ask();
  numbers.ask();
}

function refilter() {
  selection.clear();
  list.pause = pause();
  list.now();
  if (stats) filters.tellCounts(stats);
}

function done() {
  selection.clear();
  list.now();
  numbers.now();
}

function showPage(told) {
  page = told;
  tellPages();
  tell();
}

function showStats(told) {
  stats = told;
  filters.tellCounts(stats);
  if (page) tell();
}

function tell() {
  const { jobs } = page;
  rows.show(jobs);
  selection.see(jobs, filters.matching(stats, page));
  setAttribute(byId("listing"), "hidden", jobs.length === 0);
  setAttribute(byId("keys"), "hidden", jobs.length === 0);
  emptiness.tell(page, stats);
}

function tellPages() {
  const { jobs, next_cursor: next } = page;
  const partly = filters.lookedThroughPart(page);
  const older = byId("older");
  older.dataset.cursor = next ?? "";
  older.href = filters.at(next ?? "");
  setText(older, partly ? "Look further" : "Older");
  setAttribute(older, "hidden", !next || jobs.length === 0);
  byId("newest").href = filters.at("");
  setAttribute(byId("newest"), "hidden", !filters.cursor);
  const among = partly ? " among those looked through" : "";
  setText(byId("range"), jobs.length ? `${count(jobs.length, "job")}${among}` : "");
}

function turnBy(event, cursor) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  turn(cursor);
}

function turn(cursor) {
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
