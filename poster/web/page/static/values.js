// What a job was given, and what its tasks provide.

import { byId, element, fill, setAttribute } from "./element.js";
import { value } from "./words.js";

let told = "";

/** Show arguments and results. */
export function showValues({ arguments: given, results }) {
  const said = JSON.stringify([given, results]);
  if (said === told) return;
  told = said;
  fill(byId("arguments"), listOf(given, "No arguments."));
  setAttribute(byId("results-panel"), "hidden", !results);
  if (results) fill(byId("results"), listOf(results, "Its tasks provide nothing."));
}

function listOf(values, none) {
  const names = Object.keys(values);
  if (!names.length) return element("p", { class: "hint" }, none);
  return element(
    "dl",
    { class: "values" },
    names.map((name) => [
      element("dt", {}, element("code", {}, name)),
      element("dd", {}, shown(name, values[name])),
    ]),
  );
}

function shown(name, given) {
  if (given === null) return element("span", { class: "hint" }, "null");
  const text = value(given);
  if (text === "") return element("span", { class: "hint" }, "empty");
  if (text.length < 400) return element("pre", {}, text);
  return element("pre", { class: "long", tabindex: 0, role: "region", "aria-label": name }, text);
}
