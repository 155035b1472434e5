// Which request a job's state allows; and why not, if it does not. The server decides; this is what it will say.

/** In these a job can be cancelled, whatever else is true of it. */
export const OPEN = new Set(["pending", "running", "pausing", "paused", "reverting"]);

/** In these it can be retried. */
export const RETRIABLE = new Set(["failed", "cancelled"]);

/** In these its time goes on. */
export const AT_WORK = new Set(["running", "pausing", "cancelling", "reverting"]);

const NO_CANCEL = {
  cancelling: "It is being cancelled already.",
  cancelled: "It is cancelled already.",
  completed: "It has completed: nothing is left to cancel.",
  failed: "It has failed and was reverted: nothing is left to cancel.",
  revert_failed: "A revert failed, and a cancel cannot mend that.",
};

const NO_RETRY = {
  completed: "It has completed: post it again to run it again.",
  cancelling: "It is being cancelled: wait until it is cancelled.",
  reverting: "It is being reverted: wait until it has failed.",
  revert_failed: "A revert failed: have the failed reverts run again, or give their effects up.",
};

const NO_PAUSE = { pausing: "It is being paused already.", paused: "It is paused already." };

/** Whether nothing more happens to a job unless someone asks. */
export function ended(state) {
  return !OPEN.has(state) && state !== "cancelling";
}

/** Whether a failed job kept its tasks' effects: a retry goes on at the failed one. */
export function kept(job) {
  return job.state === "failed" && job.kept === true;
}

/** Why a job cannot be cancelled; null if it can. */
export function noCancel(job) {
  return OPEN.has(job.state) || kept(job) ? null : NO_CANCEL[job.state];
}

/** Why a job cannot be retried; null if it can. */
export function noRetry(job) {
  if (RETRIABLE.has(job.state)) return null;
  return NO_RETRY[job.state] ?? `It is ${job.state}: only a failed or cancelled job can be retried.`;
}

/** Why a job cannot be paused; null if it can. */
export function noPause(job) {
  if (job.state === "pending" || job.state === "running") return null;
  return NO_PAUSE[job.state] ?? "Only a pending or running job can be paused.";
}

/** Why a job cannot be resumed; null if it can. */
export function noResume(job) {
  return job.state === "paused" || job.state === "pausing" ? null : "Only a paused job can be resumed.";
}
