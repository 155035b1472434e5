// A retry with other arguments, asked for in a dialog.

import { get, post } from "./api.js";
import { Button } from "./button.js";
import { closing, openDialog } from "./dialog.js";
import { element, fill } from "./element.js";
import { showProblem } from "./said.js";
import { SchemaForm } from "./schema_form.js";

/** @param {function(Object): void} done called with the job as it then stands */
export async function openRetryForm(job, done) {
  const body = element("form", { class: "dialog-body", novalidate: true });
  const problem = element("div", {});
  let form = null;
  openDialog(`Retry ${job.flow}`, (close) => {
    const go = new Button(
      "Retry with these",
      async () => {
        const changes = form?.read();
        if (!changes) return;
        try {
          done(await post(`/api/jobs/${job.id}/retry`, Object.keys(changes).length ? { arguments: changes } : {}));
          close();
        } catch (failed) {
          const left = form.complain(failed.errors);
          showProblem(problem, failed.errors.length && !left.length ? null : failed);
          body.querySelector("[aria-invalid]")?.focus();
        }
      },
      "primary",
    );
    body.addEventListener("submit", (event) => {
      event.preventDefault();
      go.button.click();
    });
    return [body, problem, closing(close, go.element)];
  });
  try {
    const flow = await get(`/api/flows/${encodeURIComponent(job.flow)}`);
    form = new SchemaForm(flow.parameters, flow.secrets, job.arguments);
    fill(body, form.element, element("button", { type: "submit", hidden: true }));
  } catch (failed) {
    showProblem(problem, failed);
  }
}
