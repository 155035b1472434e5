// What a cancel of many jobs would undo, and what of it cannot be undone.

import { get } from "./api.js";
import { count, number } from "./words.js";

/** What becomes of these jobs, in sentences. */
export async function effectsOfJobs(jobs) {
  const final = await finalTasks(new Set(jobs.map((job) => job.flow)));
  const begun = jobs.flatMap((job) => begunTasks(job).map((task) => ({ flow: job.flow, task })));
  const isFinal = ({ flow, task }) => final.get(flow)?.has(task) ?? false;
  const left = Map.groupBy(begun.filter(isFinal), ({ task }) => task);
  const idle = jobs.filter((job) => begunTasks(job).length === 0).length;
  const reverted = begun.length - begun.filter(isFinal).length;
  const said = [`${count(reverted, "task")} will be reverted.`];
  if (idle) said.push(`${number(idle)} of ${count(jobs.length, "job")} ${idle === 1 ? "has" : "have"} not begun.`);
  for (const [task, of] of left) said.push(`“${task}” of ${count(of.length, "job")} cannot be undone.`);
  return [...said, ...unknown(final)].join(" ");
}

/** What becomes of all jobs of these flows that match a filter. */
export async function effectsOfAll(flows) {
  const final = await finalTasks(new Set(flows));
  const said = ["What the jobs have done so far is reverted."];
  for (const [flow, tasks] of final) {
    for (const task of tasks ?? []) said.push(`“${task}” of flow “${flow}” cannot be undone where it has begun.`);
  }
  return [...said, ...unknown(final)].join(" ");
}

function begunTasks(job) {
  return job.tasks
    .filter((task) => task.state !== "pending" && task.state !== "reverted")
    .map((task) => task.name);
}

function unknown(final) {
  const flows = [...final].filter(([, tasks]) => tasks === null).map(([flow]) => `“${flow}”`);
  return flows.length ? [`What cannot be undone of ${flows.join(", ")} stands in the page of each job.`] : [];
}

/** The names of tasks whose effect cannot be undone, by flow; null where that is not known. */
async function finalTasks(flows) {
  const found = await Promise.all([...flows].map(async (flow) => [flow, await finalTasksOf(flow)]));
  return new Map(found);
}

/** The graph is not known of a flow that is not known here any more, or that depends on arguments. */
async function finalTasksOf(flow) {
  try {
    const { nodes } = await get(`/api/flows/${encodeURIComponent(flow)}/graph`);
    return new Set(nodes.filter((node) => node.irreversible).map((node) => node.name));
  } catch (problem) {
    return null;
  }
}
