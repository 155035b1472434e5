// What a cancel would do, in a sentence.

import { count, listed } from "./words.js";

/** @param {{state: string, reverted: string[], irreversible: string[], not_started: string[]}} plan */
export function planSentence(plan) {
  if (plan.state === "cancelling") return "It is being cancelled already.";
  if (plan.state === "cancelled") return "It is cancelled already.";
  const { reverted, irreversible } = plan;
  if (reverted.length + irreversible.length === 0) return "Nothing has begun, so nothing is to be reverted.";
  const said = [];
  if (reverted.length) said.push(`${count(reverted.length, "task")} will be reverted`);
  else said.push("Nothing can be reverted");
  if (irreversible.length) said.push(`${listed(irreversible)} cannot be undone`);
  return `${said.join(", ")}.`;
}
