// A form for the arguments of a flow, made from their JSON schema.

import { element, fill } from "./element.js";
import { changesOf, Field } from "./field.js";
import { CheckField, ChoiceField, JsonField, NumberField, WordsField } from "./field_kinds.js";
import { hintOf, isOfWords, resolved } from "./schema.js";

const TYPES = { date: "date", uri: "url", email: "email" };

/** Fields for arguments. */
export class SchemaForm {
  /**
   * @param {Object} schema of all arguments
   * @param {string[]} secrets names of those that no one is shown
   * @param {Object|null} given what they are now; null: all are new
   */
  constructor(schema, secrets, given = null) {
    const needed = new Set(schema.required ?? []);
    const properties = Object.entries(schema.properties ?? {});
    this.fields = properties.map(([name, property]) =>
      fieldOf(name, resolved(property, schema), needed.has(name), secrets.includes(name), given),
    );
    this.element = element(
      "div",
      { class: "form" },
      this.fields.map((field) => field.element),
    );
    if (!properties.length) fill(this.element, element("p", { class: "hint" }, "It takes no arguments."));
  }

  /** The arguments that someone has changed; null if a field cannot be read, which then says so. */
  read() {
    return changesOf(this.fields);
  }

  /** Tell errors of the API at their fields; those that belong to no field are given back. */
  complain(errors) {
    return errors.filter(({ field: place, message }) => {
      const [all, name] = place.split(".");
      const field = all === "arguments" && this.fields.find((one) => one.name === name);
      if (field) field.complain(message);
      return !field;
    });
  }
}

function fieldOf(name, { schema, nullable }, needed, secret, given) {
  const initial = given && name in given ? given[name] : schema.default;
  const told = {
    label: element("code", {}, name),
    hint: hintOf(schema, secret, secret && given),
    needed: needed && !given,
    nullable,
  };
  if (secret || schema.writeOnly || schema.format === "password") return secretField(name, told);
  const choices = choicesOf(schema, nullable);
  if (choices) return new ChoiceField(name, choices, initial, told);
  if (schema.type === "boolean") return new CheckField(name, initial, told);
  if (schema.type === "integer" || schema.type === "number") return numberField(name, schema, initial, told);
  if (schema.type === "string") return new Field(name, textControl(schema, initial ?? ""), told);
  const Kind = isOfWords(schema) ? WordsField : JsonField;
  return new Kind(name, schema.type, initial, told);
}

function choicesOf(schema, nullable) {
  const few = "const" in schema ? [schema.const] : null;
  const found = schema.enum ?? few ?? (schema.type === "boolean" && nullable ? [true, false] : null);
  return found && nullable && !found.includes(null) ? [...found, null] : found;
}

function secretField(name, told) {
  return new Field(name, element("input", { type: "password", autocomplete: "off" }), told);
}

function numberField(name, schema, initial, told) {
  const whole = schema.type === "integer";
  const control = element("input", {
    type: "number",
    step: whole ? 1 : "any",
    min: schema.minimum,
    max: schema.maximum,
    value: initial ?? "",
    inputmode: whole ? "numeric" : "decimal",
  });
  return new NumberField(name, control, told);
}

/** A line of text would alter some: its line ends, or what is no address. Those get a control that keeps them. */
function textControl(schema, text) {
  const type = TYPES[schema.format] ?? "text";
  const line = element("input", { type, value: text, autocomplete: "off", spellcheck: "false" });
  if (line.value === text) return line;
  const area = element("textarea", { rows: 3, spellcheck: "false" });
  area.value = text;
  return area;
}
