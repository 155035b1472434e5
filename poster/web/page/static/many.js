// A cancel or a retry of one job or many, asked for in a dialog that then tells what became of each.

import { get, post } from "./api.js";
import { Button } from "./button.js";
import { closing, openDialog, reasonField } from "./dialog.js";
import { element, fill } from "./element.js";
import { planSentence } from "./plan.js";
import { say, showProblem } from "./said.js";
import { badge } from "./signs.js";
import { count, number, shortId } from "./words.js";

const SHOWN = 300; // answers that are listed; those that were refused come first

/**
 * Ask whether to cancel.
 * @param {{jobs?: Array, filter?: Object, total?: number}} asked
 * @param {function(): void} done called when it was asked for
 */
export function cancelMany(asked, done) {
  const reason = reasonField("cancel-reason", "Reason (optional, the history tells it)");
  const about = element(
    "p",
    { class: "about" },
    "What the jobs have done so far is reverted. They can be retried afterwards.",
  );
  if (asked.jobs?.length === 1) tellPlan(asked.jobs[0], about);
  request(asked, "cancel", "Cancel", "danger", about, reason, done);
}

/** Ask whether to retry. */
export function retryMany(asked, done) {
  const about = element(
    "p",
    { class: "about" },
    "Each begins a new attempt; one that kept its results goes on at the task that failed.",
  );
  request(asked, "retry", "Retry", "primary", about, null, done);
}

function request(asked, path, verb, look, about, reason, done) {
  const what = whatOf(asked);
  openDialog(`${verb} ${what}?`, (close) => {
    const body = element("div", { class: "dialog-body" }, about, named(asked), reason?.element);
    const problem = element("div", {});
    const go = new Button(
      `${verb} ${what}`,
      async () => {
        try {
          const answers = await post(`/api/jobs/${path}`, {
            ...whichOf(asked),
            ...(reason?.field.value ? { reason: reason.field.value } : {}),
          });
          tell(body, answers, verb);
          go.show(false);
          done();
        } catch (failed) {
          showProblem(problem, failed);
        }
      },
      look,
    );
    reason?.field.addEventListener("keydown", (event) => event.key === "Enter" && go.button.click());
    return [body, problem, closing(close, go.element)];
  });
}

function whatOf({ jobs, total, filter }) {
  if (jobs) return jobs.length === 1 ? `${jobs[0].flow} ${shortId(jobs[0].id)}` : count(jobs.length, "job");
  return filter.state ? `all ${count(total, "job")} that match` : "all jobs that match";
}

function whichOf({ jobs, filter }) {
  return jobs ? { ids: jobs.map((job) => job.id) } : { filter };
}

function named({ jobs }) {
  if (!jobs || jobs.length < 2) return null;
  const first = jobs
    .slice(0, 5)
    .map((job) => element("li", {}, badge(job.state), ` ${job.flow} `, element("code", {}, shortId(job.id))));
  const more = jobs.length > 5 ? element("li", {}, `and ${number(jobs.length - 5)} more`) : null;
  return element("ul", { class: "plain" }, first, more);
}

async function tellPlan(job, about) {
  try {
    about.textContent = planSentence(await get(`/api/jobs/${job.id}/cancel`));
  } catch (problem) {
    about.textContent = problem.message;
  }
}

function tell(body, answers, verb) {
  const refused = answers.filter((answer) => !answer.ok);
  const accepted = answers.filter((answer) => answer.ok);
  const summary = answers.length
    ? `${verb} accepted for ${count(accepted.length, "job")}${refused.length ? `, refused for ${number(refused.length)}` : ""}.`
    : "No job matched.";
  const shown = [...refused, ...accepted].slice(0, SHOWN).map(answerItem);
  const more =
    answers.length > SHOWN
      ? element(
          "li",
          {},
          `and ${number(answers.length - SHOWN)} more, all ${refused.length > SHOWN ? "listed by the API" : "accepted"}`,
        )
      : null;
  const list = element("ul", { class: "answers", tabindex: 0, "aria-label": "What became of each" }, shown, more);
  fill(body, element("p", { class: "about" }, summary), answers.length ? list : null);
  say(summary);
}

function answerItem(answer) {
  const link = element("a", { href: `/jobs/${answer.id}` }, element("code", {}, shortId(answer.id)));
  const told = answer.ok ? badge(answer.state) : element("span", { class: "refused" }, answer.error);
  return element("li", { "data-ok": String(answer.ok) }, link, " ", told);
}
