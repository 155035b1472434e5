// How a job is to be run: priority, delay, limits, key.

import { element } from "./element.js";
import { changesOf, Field } from "./field.js";
import { NumberField } from "./field_kinds.js";
import { stateWord } from "./words.js";

const PRIORITIES = ["very_high", "high", "normal", "low", "very_low"];
const DURATION = "Seconds, or 90s, 5m, 1h30m";

/** The fields, folded away until one is wanted or is wrong. */
export class Options {
  constructor(flow) {
    this.fields = [
      new Field("priority", priorities(), told("Priority")),
      text("delay", told("Delay", DURATION)),
      text("timeout", told("Timeout", limit(`${DURATION}: running time of an attempt`, flow.timeout, "s"))),
      retries(told("Max retries", limit("Automatic ones", flow.max_retries, ""))),
      text("retry_interval", told("Retry interval", limit(DURATION, flow.retry_interval, "s"))),
      text("key", told("Key", "Gives the job back that has it and has not ended")),
    ];
    const pairs = element(
      "div",
      { class: "pair" },
      this.fields.map((field) => field.element),
    );
    this.element = element(
      "details",
      { class: "options" },
      element("summary", {}, "Options"),
      element("div", { class: "form" }, pairs),
    );
  }

  /** What is not as it comes; null if a field cannot be read, which then says so. */
  read() {
    const wanted = changesOf(this.fields);
    if (wanted === null) this.element.open = true;
    return wanted;
  }

  /** Tell errors at their fields; those of no field are given back. */
  complain(errors) {
    return errors.filter(({ field: place, message }) => {
      const field = this.fields.find((one) => one.name === place.split(".")[0]);
      field?.complain(message);
      if (field) this.element.open = true;
      return !field;
    });
  }
}

/** A flow's own arguments may have the names of these: so the ids differ. */
function told(label, hint = "") {
  return { label, hint, prefix: "option" };
}

function priorities() {
  const choices = PRIORITIES.map((one) =>
    element("option", { value: one, selected: one === "normal" }, stateWord(one)),
  );
  return element("select", {}, choices);
}

function text(name, how) {
  return new Field(name, element("input", { type: "text", autocomplete: "off", spellcheck: "false" }), how);
}

function retries(how) {
  const control = element("input", { type: "number", min: 0, step: 1, inputmode: "numeric" });
  return new NumberField("max_retries", control, how);
}

function limit(words, value, unit) {
  return value === null ? words : `${words}; the flow says ${value} ${unit}`.trim();
}
