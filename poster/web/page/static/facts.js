// What there is to know of a job besides its tasks: times, who runs it, arguments, results.

import { byId, element, fill, setAttribute } from "./element.js";
import { ageElement, now, parsed, seconds, timeElement } from "./times.js";
import { took, value } from "./words.js";

let told = "";

/** Show them. */
export function showFacts(job) {
  const {
    posted_at,
    due_at,
    started_at,
    finished_at,
    conductor,
    priority,
    key,
    attempt,
    arguments: given,
    results,
  } = job;
  const said = JSON.stringify([
    job.state,
    posted_at,
    due_at,
    started_at,
    finished_at,
    conductor,
    priority,
    key,
    attempt,
    given,
    results,
  ]);
  if (said === told) return;
  told = said;
  const due = job.state === "pending" && parsed(due_at) > now() ? timeElement(due_at) : null;
  fill(byId("facts"), [
    fact("Posted", ago(posted_at)),
    fact("Due", due),
    fact("Started", started_at && ago(started_at)),
    fact("Finished", finished_at && ago(finished_at)),
    fact("Took", started_at && finished_at && took(seconds(started_at, finished_at))),
    fact("Attempt", String(attempt)),
    fact("Conductor", conductor),
    fact("Priority", priority === "normal" ? null : priority.replaceAll("_", " ")),
    fact("Key", key),
  ]);
  showValues(byId("arguments"), given, "No arguments.");
  setAttribute(byId("results-panel"), "hidden", !results);
  if (results) showValues(byId("results"), results, "Its tasks provide nothing.");
}

function fact(name, said) {
  return said ? [element("dt", {}, name), element("dd", {}, said)] : [];
}

function ago(at) {
  return element("span", {}, timeElement(at), element("span", { class: "ago" }, " ", ageElement(at), " ago"));
}

function showValues(place, values, none) {
  const names = Object.keys(values);
  if (!names.length) return fill(place, element("p", { class: "hint" }, none));
  return fill(
    place,
    element(
      "dl",
      { class: "values" },
      names.map((name) => [
        element("dt", {}, element("code", {}, name)),
        element("dd", {}, shown(name, values[name])),
      ]),
    ),
  );
}

function shown(name, given) {
  if (given === null) return element("span", { class: "hint" }, "null");
  const text = value(given);
  if (text === "") return element("span", { class: "hint" }, "empty");
  if (text.length < 400) return element("pre", {}, text);
  return element("pre", { class: "long", tabindex: 0, role: "region", "aria-label": name }, text);
}
