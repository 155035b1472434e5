// The form of a flow.

import { create } from "./api.js";
import { Button } from "./button.js";
import { paragraphs } from "./description.js";
import { byId, element, fill } from "./element.js";
import { frame } from "./frame.js";
import { forbidden } from "./me.js";
import { leaveNote } from "./note.js";
import { Options } from "./options.js";
import { Reading } from "./reading.js";
import { showProblem } from "./said.js";
import { SchemaForm } from "./schema_form.js";

const form = byId("post");
const name = form.dataset.flow;
const problem = element("div", {});

frame("post");
form.addEventListener("submit", (event) => event.preventDefault());
new Reading(() => `/api/flows/${encodeURIComponent(name)}`, show).now();

function show(flow) {
  const fields = new SchemaForm(flow.parameters, flow.secrets);
  const options = new Options(flow);
  const go = new Button(`Post ${flow.name}`, () => send(fields, options), "primary");
  go.set(`Post ${flow.name}`, forbidden("post"));
  go.button.type = "submit";
  fill(byId("description"), paragraphs(flow.description));
  const why = forbidden("post") && element("p", { class: "hint" }, forbidden("post"));
  fill(form, fields.element, options.element, problem, element("div", {}, go.element, why));
}

async function send(fields, options) {
  const given = fields.read();
  const wanted = options.read();
  if (!given || !wanted) return toError();
  try {
    const { made, existed } = await create("/api/jobs", { flow: name, arguments: given, ...wanted });
    if (existed) leaveNote("A job with this key has not ended yet, so nothing was posted: this is the job.");
    location.assign(`/jobs/${made.id}`);
    await new Promise(() => {}); // the button stays busy until this page is left: nothing is posted twice
  } catch (failed) {
    const left = options.complain(fields.complain(failed.errors));
    showProblem(problem, failed.errors.length && !left.length ? null : failed);
    toError();
  }
  return undefined;
}

function toError() {
  form.querySelector("[aria-invalid]")?.focus();
}
