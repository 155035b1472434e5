// A job.

import { get } from "./api.js";
import { byId, element, setAttribute } from "./element.js";
import { showFacts } from "./facts.js";
import { frame } from "./frame.js";
import { Graph } from "./graph.js";
import { Headline } from "./headline.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { Logs } from "./logs.js";
import { takeNote } from "./note.js";
import { onceAFrame } from "./once_a_frame.js";
import { Receipt } from "./receipt.js";
import { Refresh } from "./refresh.js";
import { Requests } from "./requests.js";
import { say, showProblem } from "./said.js";
import { Timeline } from "./timeline.js";
import { showValues } from "./values.js";
import { stateWord } from "./words.js";

const id = byId("job").dataset.job;
const problems = { job: null, lines: null }; // what went wrong with the last request for each

frame("jobs");
let job = null;
let gone = false;
let answers = 0; // to requests: what was read before the last one is old
const headline = new Headline();
const timeline = new Timeline();
const graph = new Graph(id);
const history = new History(id, () => job && timeline.show(job, history.lines));
const logs = new Logs(id);
const receipt = new Receipt();
const requests = new Requests(receipt, answered);
const refresh = new Refresh(readJob, 150, (problem) => complain("job", problem));
const read = new Refresh(readLines, 500, (problem) => complain("lines", problem));
const drawHistory = onceAFrame(() => history.show());
const live = new Live(
  `/api/jobs/${id}/events`,
  {
    state: happened,
    task: happened,
    log: (line) => logs.hear(line),
    progress: (event) => {
      if (job && event.attempt === job.attempt) show({ ...job, progress: event.progress, tasks: event.tasks });
    },
    gone: leave,
  },
  askAll,
  true,
);

const note = takeNote();
if (note) byId("job").prepend(element("p", { class: "notice", role: "status" }, note));
askAll();

function askAll() {
  refresh.now().catch((problem) => complain("job", problem));
  read.now().catch((problem) => complain("lines", problem));
}

function happened(line) {
  if (history.lines.hear(line)) drawHistory();
  refresh.ask();
}

/** A request has its answer: the job as it then stood, or none. */
function answered(found) {
  answers += 1;
  if (found) show(found);
  else if (job) show(job);
  refresh.ask();
}

async function readJob() {
  const before = answers;
  const found = await get(`/api/jobs/${id}`);
  if (before === answers) show(found);
  complain("job", null);
}

async function readLines() {
  await history.lines.read();
  drawHistory();
  await logs.read();
  complain("lines", null);
}

function show(found) {
  if (gone) return;
  const before = job?.state;
  job = found;
  headline.show(job);
  requests.show(job);
  receipt.show(job, graph.final);
  timeline.show(job, history.lines);
  graph.show(job.tasks).then(() => receipt.show(job, graph.final));
  showFacts(job);
  showValues(job);
  if (before && before !== job.state) say(`The job is ${stateWord(job.state)}.`);
}

function complain(about, problem) {
  if (problem?.status === 404) leave();
  problems[about] = problem?.passes ? null : problem; // that the server is away is said by the stream
  showProblem(byId("problem"), gone ? null : (problems.job ?? problems.lines));
}

function leave() {
  if (gone) return;
  gone = true;
  live.stop();
  setAttribute(byId("about"), "hidden", true);
  setAttribute(byId("state"), "hidden", true);
  setAttribute(byId("deleted"), "hidden", false);
  byId("deleted").append("This job was deleted. ", element("a", { href: "/" }, "All jobs"));
}
