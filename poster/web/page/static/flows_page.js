// The flows, to choose one that is to be posted.

import { byId, element, fill } from "./element.js";
import { frame } from "./frame.js";
import { Reading } from "./reading.js";
import { count } from "./words.js";

frame("post");
new Reading(() => "/api/flows", show).now();

function show(flows) {
  fill(byId("flows"), flows.map(card));
  if (flows.length) return;
  const words = [
    "Name a module or file with flows, and start the server again: ",
    element("code", {}, "COUNTERMAND_FLOWS=hello.py poster serve"),
  ];
  fill(
    byId("empty"),
    element("div", { class: "empty" }, element("p", {}, "No flows are known here."), element("p", {}, words)),
  );
}

function card(flow) {
  const [first] = flow.description.split("\n");
  const parameters = Object.keys(flow.parameters.properties ?? {});
  const takes = parameters.length
    ? `${count(parameters.length, "argument")}: ${parameters.join(", ")}`
    : "No arguments";
  const link = element("a", { href: `/post/${encodeURIComponent(flow.name)}` }, flow.name);
  return element(
    "li",
    { class: "flow-card" },
    element("h2", {}, link),
    element("p", {}, first),
    element("p", { class: "hint" }, takes),
  );
}
