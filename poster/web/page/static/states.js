// The states of jobs, in the order in which people read them.

export const STATES = [
  "pending",
  "running",
  "pausing",
  "paused",
  "cancelling",
  "reverting",
  "completed",
  "failed",
  "cancelled",
  "revert_failed",
];
