// How a job is to be run: priority, delay, limits, key.

import { element } from "./element.js";
import { Field } from "./schema_form.js";

const PRIORITIES = ["very_high", "high", "normal", "low", "very_low"];
const DURATION = "Seconds, or 90s, 5m, 1h30m";

/** The fields, folded away until one is wanted or is wrong. */
export class Options {
  constructor(flow) {
    const text = (name, told) =>
      new Field(name, element("input", { type: "text", autocomplete: "off", spellcheck: "false" }), told);
    const choices = PRIORITIES.map((one) =>
      element("option", { value: one, selected: one === "normal" }, one.replaceAll("_", " ")),
    );
    this.fields = [
      new Field("priority", element("select", {}, choices), { label: "Priority" }),
      text("delay", { label: "Delay", hint: DURATION }),
      text("timeout", {
        label: "Timeout",
        hint: limit(`${DURATION}: running time of an attempt`, flow.timeout, "s"),
      }),
      new Field("max_retries", element("input", { type: "number", min: 0, step: 1, inputmode: "numeric" }), {
        label: "Max retries",
        hint: limit("Automatic ones", flow.max_retries, ""),
      }),
      text("retry_interval", { label: "Retry interval", hint: limit(DURATION, flow.retry_interval, "s") }),
      text("key", { label: "Key", hint: "Gives the job back that has it and has not ended" }),
    ];
    const pairs = element(
      "div",
      { class: "form" },
      element(
        "div",
        { class: "pair" },
        this.fields.map((field) => field.element),
      ),
    );
    this.element = element("details", { class: "options" }, element("summary", {}, "Options"), pairs);
  }

  /** What is not as it comes; null if a field cannot be read. */
  read() {
    const wanted = {};
    for (const field of this.fields) {
      field.complain("");
      const value = field.value();
      if (value !== undefined && value !== "normal")
        wanted[field.name] = field.name === "max_retries" ? Number(value) : value;
    }
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

function limit(words, value, unit) {
  return value === null ? words : `${words}; the flow says ${value} ${unit}`.trim();
}
