// What a job allows that is only asked for on its own page; why not, if it does not. The server decides.

const CHANGED =
  "The flow's structure has changed since, so its reverts cannot be found any more: clean up by hand, then give the effects up.";
const KEPT = "Its results are kept, and its arguments with them: cancel it first, then retry it with others.";

/** What becomes of a job that someone has deleted; null if nobody has. A revert that fails saves it. */
export function fate(job) {
  return job.deleting && job.state !== "revert_failed"
    ? "It is going to be deleted when its effects are reverted."
    : null;
}

/** Whether a retry goes on at the failed task. */
export function goesOn(job) {
  return job.state === "failed" && Boolean(job.kept);
}

/** Why a job's failed reverts cannot run again; null if they can. */
export function noCleanup(job) {
  return job.error?.type === "FlowChanged" ? CHANGED : null;
}

/** Why a retry cannot have other arguments; null if it can. */
export function noChanges(job) {
  return goesOn(job) ? KEPT : null;
}
