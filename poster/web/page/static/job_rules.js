// What a job allows that is only asked for on its own page; why not, if it does not. The server decides.

import { kept } from "./rules.js";

const CHANGED =
  "The flow's structure has changed since, so its reverts cannot be found any more: clean up by hand, then give the effects up.";
const KEPT = "Its results are kept, and its arguments with them: cancel it first, then retry it with others.";

/** What becomes of a job that someone has deleted; null if nobody has. A revert that fails saves it. */
export function fate(job) {
  return job.deleting && job.state !== "revert_failed"
    ? "It is going to be deleted when its effects are reverted."
    : null;
}

/** Why a job's failed reverts cannot run again; null if they can. */
export function noCleanup(job) {
  return job.error?.type === "FlowChanged" ? CHANGED : null;
}

/** Why a retry cannot have other arguments; null if it can. */
export function noChanges(job) {
  return kept(job) ? KEPT : null;
}
