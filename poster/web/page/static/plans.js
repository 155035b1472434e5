// What a cancel of many jobs would do, in sentences.

import { count, number } from "./words.js";

const MOST = 500; // the server looks at no more

/** @param {Array<{ok: boolean, reverted: string[], irreversible: string[]}>} plans of the first jobs */
export function plansSentence(plans) {
  const reached = plans.filter((plan) => plan.ok);
  const begun = reached.filter((plan) => plan.reverted.length + plan.irreversible.length > 0);
  const idle = reached.length - begun.length;
  const reverted = begun.reduce((sum, plan) => sum + plan.reverted.length, 0);
  const said = [
    begun.length ? revertWords(reverted, begun.length) : "Nothing has begun, so nothing is to be reverted.",
  ];
  if (begun.length && idle) said.push(`${count(idle, "job")} ${idle === 1 ? "has" : "have"} not begun.`);
  const final = Map.groupBy(
    begun.flatMap((plan) => plan.irreversible),
    (task) => task,
  );
  for (const [task, of] of final) said.push(`“${task}” of ${count(of.length, "job")} cannot be undone.`);
  return `${plans.length < MOST ? "" : `Of the first ${number(MOST)} jobs: `}${said.join(" ")}`;
}

function revertWords(tasks, jobs) {
  return tasks ? `${count(tasks, "task")} of ${count(jobs, "job")} will be reverted.` : "Nothing can be reverted.";
}
