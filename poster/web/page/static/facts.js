// What there is to know of a job besides its tasks: times, who runs it, how it waits.

import { byId, element, fill } from "./element.js";
import { ageElement, now, parsed, seconds, timeElement } from "./times.js";
import { stateWord, took } from "./words.js";

let told = "";

/** Show them. */
export function showFacts(job) {
  const { state, posted_at, due_at, started_at, finished_at, conductor, priority, key, attempt } = job;
  const said = [state, posted_at, due_at, started_at, finished_at, conductor, priority, key, attempt].join();
  if (said === told) return;
  told = said;
  const due = state === "pending" && parsed(due_at) > now() ? timeElement(due_at) : null;
  fill(byId("facts"), [
    fact("Posted", ago(posted_at)),
    fact("Due", due),
    fact("Started", started_at && ago(started_at)),
    fact("Finished", finished_at && ago(finished_at)),
    fact("Took", started_at && finished_at && took(seconds(started_at, finished_at))),
    fact("Attempt", String(attempt)),
    fact("Conductor", conductor),
    fact("Priority", priority === "normal" ? null : stateWord(priority)),
    fact("Key", key),
  ]);
}

function fact(name, said) {
  return said ? [element("dt", {}, name), element("dd", {}, said)] : [];
}

function ago(at) {
  return element("span", {}, timeElement(at), element("span", { class: "ago" }, " ", ageElement(at), " ago"));
}
