// Numbers over all jobs, and the last day.

import { Chart } from "./chart.js";
import { byId, element } from "./element.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { Reading } from "./reading.js";
import { refill } from "./refill.js";
import { sign } from "./signs.js";
import { STATES } from "./states.js";
import { age, number, stateWord } from "./words.js";

const POLL_MS = 30_000;

frame("statistics");
const chart = new Chart(byId("day"));
const readings = [
  new Reading(() => "/api/stats", show, 3000),
  new Reading(
    () => "/api/stats/day",
    (hours) => chart.show(hours),
    3000,
  ),
];
const told = new Map(); // what each place shows
const again = () => readings.forEach((reading) => reading.ask());
new Live("/api/events", { state: again }, again);
setInterval(() => document.hidden || again(), POLL_MS);
readings.forEach((reading) => reading.now());

function show(stats) {
  tell(byId("totals"), [stats.total, stats.states, stats.oldest_waiting_s, stats.conductors], () => totals(stats));
  tell(byId("by-flow"), stats.flows, () => byFlow(stats.flows));
}

/** Only what is new is made anew, so that who reads or selects there is left alone. */
function tell(place, numbers, made) {
  const said = JSON.stringify(numbers);
  if (told.get(place) === said) return;
  told.set(place, said);
  refill(place, made());
}

function totals(stats) {
  const { conductors } = stats;
  return [
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
  ];
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

function byFlow(flows) {
  const names = Object.keys(flows).sort();
  if (!names.length) {
    const words = ["No jobs yet: ", element("code", {}, "poster post FLOW NAME=VALUE")];
    return element("p", { class: "hint" }, words);
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
  return element("table", { class: "by-flow" }, element("thead", {}, head), element("tbody", {}, rows));
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
