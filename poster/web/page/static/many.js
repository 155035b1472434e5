// A cancel or a retry of one job or many, asked for in a dialog that then tells what became of each.

import { answersElement } from "./answers.js";
import { get, post } from "./api.js";
import { Button } from "./button.js";
import { closing, openDialog, reasonField } from "./dialog.js";
import { element, fill, setText } from "./element.js";
import { planSentence } from "./plan.js";
import { plansSentence } from "./plans.js";
import { CANCEL } from "./reach.js";
import { showProblem } from "./said.js";
import { badge } from "./signs.js";
import { count, number, shortId, stateWord } from "./words.js";

const BEFORE_CANCEL = "What the jobs have done so far is reverted. They can be retried afterwards.";
const BEFORE_RETRY = "Each begins a new attempt; one that kept its results goes on at the task that failed.";

/**
 * Ask whether to do it.
 * @param {Object} request `CANCEL` or `RETRY`
 * @param {Object} reach what it reaches
 * @param {function(): void} done called when it was asked for
 * @param {function(): void} left called when the dialog is closed after that: what had the focus may be hidden
 */
export function askMany(request, reach, done, left = () => {}) {
  const cancel = request === CANCEL;
  const about = element("p", { class: "about" }, cancel ? BEFORE_CANCEL : BEFORE_RETRY);
  if (cancel) tellPlan(reach, about);
  const reason = cancel ? reasonField("cancel-reason", "Reason (optional, the history tells it)") : null;
  const label = `${request.verb} ${whatOf(request, reach)}`;
  const body = element("div", { class: "dialog-body" }, about, named(request, reach), reason?.element);
  openDialog(`${label}?`, (close) => {
    const problem = element("div", {});
    const send = async () => {
      try {
        const answers = await post(`/api/jobs/${request.path}`, bodyOf(reach, reason?.field.value));
        showProblem(problem, null);
        tell(body, answers, request.verb);
        go.show(false);
        body.closest("dialog").addEventListener("close", left);
        done();
      } catch (failed) {
        showProblem(problem, failed);
      }
    };
    const go = new Button(label, send, cancel ? "danger" : "primary");
    reason?.field.addEventListener("keydown", (event) => event.key === "Enter" && go.button.click());
    return [body, problem, closing(close, go.element)];
  });
}

function whatOf({ done }, { jobs, amount, most }) {
  if (jobs?.length === 1) return `${jobs[0].flow} ${shortId(jobs[0].id)}`;
  if (amount === null) return `all that match and can be ${done}`;
  return `${most ? "up to " : ""}${jobs ? "" : "all "}${count(amount, "job")}`;
}

function bodyOf({ jobs, filter }, reason) {
  return { ...(jobs ? { ids: jobs.map((job) => job.id) } : { filter }), ...(reason ? { reason } : {}) };
}

function named(request, { jobs, filter, amount, of }) {
  if (filter)
    return element("p", { class: "about" }, `${filterWords(filter)}${othersWords(request, of - amount)}`);
  if (jobs.length < 2) return null;
  const first = jobs
    .slice(0, 5)
    .map((job) => element("li", {}, badge(job.state), job.flow, element("code", {}, shortId(job.id))));
  const more = jobs.length > 5 ? element("li", {}, `and ${number(jobs.length - 5)} more`) : null;
  return element("ul", { class: "plain asked" }, first, more);
}

function filterWords({ state, flow, q }) {
  const which = [flow && `of flow “${flow}”`, q && `with “${q}”`, `that are ${state.map(stateWord).join(" or ")}`];
  return `These are the jobs ${which.filter(Boolean).join(" ")}.`;
}

function othersWords({ done }, others) {
  if (others > 1) return ` The other ${number(others)} that match cannot be ${done}, and are left alone.`;
  return others === 1 ? ` The other one that matches cannot be ${done}, and is left alone.` : "";
}

async function tellPlan(reach, about) {
  try {
    setText(about, await planWords(reach));
  } catch (problem) {
    setText(about, problem.message);
  }
}

async function planWords(reach) {
  if (reach.jobs?.length === 1) return planSentence(await get(`/api/jobs/${reach.jobs[0].id}/cancel`));
  return plansSentence(await post("/api/jobs/cancel/plan", bodyOf(reach)));
}

/** The dialog goes on with what became of it. The focus goes there, so that it is read aloud. */
function tell(body, answers, verb) {
  const accepted = answers.filter((answer) => answer.ok).length;
  const refused = answers.length - accepted;
  const said = `${verb} accepted for ${count(accepted, "job")}${refused ? `, refused for ${number(refused)}` : ""}.`;
  const words = answers.length ? said : "No job matched.";
  const summary = element("p", { class: "about", role: "status", tabindex: -1 }, words);
  fill(body, summary, answersElement(answers));
  summary.focus();
}
