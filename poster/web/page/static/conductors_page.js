// Who runs jobs.

import { byId, element, fill, picture, setText } from "./element.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { Reading } from "./reading.js";
import { refill } from "./refill.js";
import { sign } from "./signs.js";
import { ageElement, timeElement } from "./times.js";
import { count, number, shortId } from "./words.js";

const POLL_MS = 5000; // a heartbeat is no event

frame("conductors");
let told = "";
const reading = new Reading(() => "/api/conductors", show, 1000);
new Live("/api/events", { state: () => reading.ask() }, () => reading.ask());
setInterval(() => document.hidden || reading.ask(), POLL_MS);
reading.now();

function show(conductors) {
  if (JSON.stringify(conductors) === told) return;
  told = JSON.stringify(conductors);
  const alive = conductors.filter((one) => one.alive);
  const gone = conductors.filter((one) => !one.alive);
  setText(byId("summary"), conductors.length ? summary(alive, conductors.length) : "");
  refill(byId("conductors"), [...alive, ...gone].map(card));
  const words = ["Jobs wait until one is there. Start it: ", element("code", {}, "conductor run")];
  fill(
    byId("empty"),
    alive.length
      ? null
      : element("div", { class: "empty" }, element("p", {}, "No conductor is alive."), element("p", {}, words)),
  );
}

function summary(alive, known) {
  const slots = alive.reduce((sum, one) => sum + one.slots, 0);
  const taken = alive.reduce((sum, one) => sum + busy(one), 0);
  return `${number(alive.length)} of ${number(known)} alive, ${number(taken)} of ${count(slots, "slot")} taken.`;
}

/** It may have claimed more jobs than it has slots: they begin as soon as one is free. */
function busy(one) {
  return Math.min(one.jobs.length, one.slots);
}

function card(one) {
  const state = one.alive ? "completed" : "failed";
  const life = element(
    "span",
    { class: `badge ${state}` },
    sign(state),
    element("span", {}, one.alive ? "alive" : "gone"),
  );
  const fact = (name, ...said) => [element("dt", {}, name), element("dd", {}, ...said)];
  const jobs = one.jobs.length
    ? one.jobs.map((id) => element("a", { href: `/jobs/${id}` }, element("code", {}, shortId(id))))
    : "nothing";
  return element(
    "li",
    { class: `conductor-card ${one.alive ? "" : "is-gone"}` },
    element("div", { class: "conductor-head" }, element("h2", {}, one.name), life),
    slotsLine(one),
    element(
      "dl",
      { class: "conductor-facts" },
      fact(one.alive ? "Runs" : "Ran last", element("span", { class: "runs" }, jobs)),
      fact("Heartbeat", ageElement(one.seen_at), " ago"),
      fact("Started", timeElement(one.started_at)),
      fact("Where", `${one.host}, process ${one.pid}`),
      fact("Flows", one.flows.join(", ") || "none"),
    ),
  );
}

function slotsLine(one) {
  const slots = count(one.slots, "slot");
  if (!one.alive) return element("p", { class: "slots-line" }, `It had ${slots}.`);
  const words = `${number(busy(one))} of ${slots}`;
  return element("p", { class: "slots-line" }, slotsPicture(one), element("span", {}, words));
}

function slotsPicture(one) {
  const shown = Math.min(one.slots, 32);
  const squares = Array.from({ length: shown }, (_, at) =>
    picture("rect", {
      class: at < busy(one) ? "busy" : "free",
      x: at * 15 + 0.5,
      y: 0.5,
      width: 11,
      height: 11,
      rx: 2.5,
    }),
  );
  return picture("svg", { class: "slots", width: shown * 15, height: 12, "aria-hidden": "true" }, squares);
}
