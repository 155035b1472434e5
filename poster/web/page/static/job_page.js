// A job.

import { get } from "./api.js";
import { byId, element, fill, setAttribute } from "./element.js";
import { showFacts } from "./facts.js";
import { frame } from "./frame.js";
import { Graph } from "./graph.js";
import { Headline } from "./headline.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { Logs } from "./logs.js";
import { takeNote } from "./note.js";
import { showReceipt } from "./receipt.js";
import { Refresh } from "./refresh.js";
import { Requests } from "./requests.js";
import { say, showProblem } from "./said.js";
import { Timeline } from "./timeline.js";
import { stateWord } from "./words.js";

const PAGE = 1000;
const id = byId("job").dataset.job;

frame("jobs");
let job = null;
let gone = false;
const headline = new Headline();
const timeline = new Timeline();
const graph = new Graph(id);
const history = new History();
const logs = new Logs(id);
const requests = new Requests((changed) => (changed ? show(changed) : refresh.ask()));
const refresh = new Refresh(async () => show(await get(`/api/jobs/${id}`)), 150, complain);
const read = new Refresh(readLines, 500, complain);

new Live(
  `/api/jobs/${id}/events`,
  {
    state: (line) => happened(line),
    task: (line) => happened(line),
    log: (line) => logs.add([line]),
    progress: (event) => {
      if (job && event.attempt === job.attempt) show({ ...job, progress: event.progress, tasks: event.tasks });
    },
    gone: leave,
  },
  caughtUp,
);

const note = takeNote();
if (note) byId("job").prepend(element("p", { class: "notice", role: "status" }, note));

function happened(line) {
  if (history.add([line]) && job) timeline.show(job, history.lines);
  refresh.ask();
}

function caughtUp() {
  refresh.now().catch(complain);
  read.now().catch(complain);
}

async function readLines() {
  for (let more = true; more;) {
    const lines = await get(`/api/jobs/${id}/history?after=${history.last}&limit=${PAGE}`);
    history.add(lines);
    more = lines.length === PAGE;
  }
  if (job) timeline.show(job, history.lines);
  await logs.read();
}

function show(found) {
  const before = job?.state;
  job = found;
  headline.show(job);
  requests.show(job);
  showReceipt(job, graph.final);
  timeline.show(job, history.lines);
  graph.show(job.tasks).then(() => showReceipt(job, graph.final));
  showFacts(job);
  if (before && before !== job.state) say(`The job is ${stateWord(job.state)}.`);
}

function complain(problem) {
  if (problem.status === 404) leave();
  else if (!problem.passes) showProblem(byId("error"), problem);
}

function leave() {
  if (gone) return;
  gone = true;
  for (const part of byId("job").querySelectorAll("section, .columns")) setAttribute(part, "hidden", true);
  fill(
    byId("error"),
    element(
      "p",
      { class: "notice", role: "status" },
      "This job was deleted. ",
      element("a", { href: "/" }, "All jobs"),
    ),
  );
}
