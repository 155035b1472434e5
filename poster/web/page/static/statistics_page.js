// Numbers over all jobs, and the last day.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { byId, element, fill, setAttribute } from "./element.js";
import { STATES } from "./filters.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { Refresh } from "./refresh.js";
import { showProblem } from "./said.js";
import { sign } from "./signs.js";
import { age, number, stateWord } from "./words.js";

const POLL_MS = 30_000;

frame("statistics");
const chart = new Chart(byId("day"));
const refresh = new Refresh(read, 3000);
new Live("/api/events", { state: () => refresh.ask() }, () => refresh.ask());
setInterval(() => document.hidden || refresh.ask(), POLL_MS);
refresh.now();

async function read() {
  try {
    show(await get("/api/stats"));
    showProblem(byId("problem"), null);
  } catch (problem) {
    if (!problem.passes) showProblem(byId("problem"), problem);
  }
  await readDay();
}

async function readDay() {
  try {
    chart.show(await get("/api/stats/day"));
  } catch (problem) {
    setAttribute(byId("day-panel"), "hidden", problem.status === 404);
  }
}

function show(stats) {
  const { conductors } = stats;
  fill(byId("totals"), [
    total("Jobs", number(stats.total)),
    total(
      "Waiting",
      number(stats.states.pending),
      stats.oldest_waiting_s === null ? "none waits" : `the oldest for ${age(stats.oldest_waiting_s)}`,
      "/?state=pending",
    ),
    total(
      "Slots taken",
      `${number(conductors.busy)} / ${number(conductors.slots)}`,
      conductors.alive ? `${number(conductors.alive)} alive` : "no conductor: conductor run",
      "/conductors",
    ),
    total("Failed", number(stats.states.failed), null, "/?state=failed"),
    total(
      "Revert failed",
      number(stats.states.revert_failed),
      stats.states.revert_failed ? "effects may remain" : "nothing left behind",
      "/?state=revert_failed",
    ),
  ]);
  showFlows(stats.flows);
}

function total(name, amount, more = null, href = null) {
  const figure = href ? element("a", { href }, amount) : amount;
  return element(
    "div",
    { class: "total" },
    element("dt", {}, name),
    element("dd", { class: "figure" }, figure),
    more ? element("dd", { class: "hint" }, more) : null,
  );
}

function showFlows(flows) {
  const names = Object.keys(flows).sort();
  if (!names.length) {
    const words = ["No jobs yet: ", element("code", {}, "poster post FLOW NAME=VALUE")];
    return fill(byId("by-flow"), element("p", { class: "hint" }, words));
  }
  const states = STATES.filter((state) => names.some((name) => flows[name][state]));
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "Flow"),
    states.map((state) =>
      element(
        "th",
        { scope: "col", class: `number ${state}` },
        element("span", { class: `badge ${state}` }, sign(state), element("span", {}, stateWord(state))),
      ),
    ),
    element("th", { scope: "col", class: "number" }, "All"),
  );
  const rows = names.map((name) => flowRow(name, flows[name], states));
  return fill(
    byId("by-flow"),
    element("table", { class: "by-flow" }, element("thead", {}, head), element("tbody", {}, rows)),
  );
}

function flowRow(name, counts, states) {
  const cell = (state) => {
    const many = counts[state] ?? 0;
    const link = () =>
      element(
        "a",
        {
          href: `/?${new URLSearchParams({ state, flow: name })}`,
          "aria-label": `${many} ${stateWord(state)} of ${name}`,
        },
        number(many),
      );
    return element("td", { class: "number" }, many ? link() : "");
  };
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("a", { href: `/?${new URLSearchParams({ flow: name })}` }, name)),
    states.map(cell),
    element("td", { class: "number" }, number(all)),
  );
}
