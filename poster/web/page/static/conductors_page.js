// Who runs jobs.

import { get } from "./api.js";
import { byId, element, fill, picture, setText } from "./element.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { Refresh } from "./refresh.js";
import { showProblem } from "./said.js";
import { sign } from "./signs.js";
import { ageElement, timeElement } from "./times.js";
import { count, number, shortId } from "./words.js";

const POLL_MS = 5000; // a heartbeat is no event

frame("conductors");
let told = "";
const refresh = new Refresh(read, 1000);
new Live("/api/events", { state: () => refresh.ask() }, () => refresh.ask());
setInterval(() => document.hidden || refresh.ask(), POLL_MS);
refresh.now();

async function read() {
  try {
    show(await get("/api/conductors"));
    showProblem(byId("problem"), null);
  } catch (problem) {
    if (!problem.passes) showProblem(byId("problem"), problem);
  }
}

function show(conductors) {
  if (JSON.stringify(conductors) === told) return;
  told = JSON.stringify(conductors);
  const alive = conductors.filter((one) => one.alive);
  const slots = alive.reduce((sum, one) => sum + one.slots, 0);
  const busy = alive.reduce((sum, one) => sum + one.jobs.length, 0);
  setText(
    byId("summary"),
    conductors.length
      ? `${number(alive.length)} of ${number(conductors.length)} alive, ${number(busy)} of ${count(slots, "slot")} taken.`
      : "",
  );
  keepingFocus(() => fill(byId("conductors"), [...alive, ...conductors.filter((one) => !one.alive)].map(card)));
  const words = ["Jobs wait until one is there. Start it: ", element("code", {}, "conductor run")];
  fill(
    byId("empty"),
    alive.length
      ? null
      : element("div", { class: "empty" }, element("p", {}, "No conductor is alive."), element("p", {}, words)),
  );
}

function keepingFocus(draw) {
  const at = byId("conductors").contains(document.activeElement)
    ? document.activeElement.getAttribute("href")
    : null;
  draw();
  if (at)
    byId("conductors")
      .querySelector(`a[href="${CSS.escape(at)}"]`)
      ?.focus();
}

function card(one) {
  const state = one.alive ? "completed" : "failed";
  const life = element(
    "span",
    { class: `badge ${one.alive ? "completed" : "failed"}` },
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
    slotsPicture(one),
    element(
      "dl",
      { class: "conductor-facts" },
      fact("Runs", element("span", { class: "runs" }, jobs)),
      fact("Heartbeat", ageElement(one.seen_at), " ago"),
      fact("Started", timeElement(one.started_at)),
      fact("Where", `${one.host}, process ${one.pid}`),
      fact("Flows", one.flows.join(", ") || "none"),
    ),
  );
}

function slotsPicture(one) {
  const shown = Math.min(one.slots, 32);
  const busy = one.alive ? one.jobs.length : 0;
  const squares = Array.from({ length: shown }, (_, at) =>
    picture("rect", {
      class: at < busy ? "busy" : "free",
      x: at * 15 + 0.5,
      y: 0.5,
      width: 11,
      height: 11,
      rx: 2.5,
    }),
  );
  const drawn = picture("svg", { class: "slots", width: shown * 15, height: 12, "aria-hidden": "true" }, squares);
  return element(
    "p",
    { class: "slots-line" },
    drawn,
    element("span", {}, `${number(busy)} of ${count(one.slots, "slot")}`),
  );
}
