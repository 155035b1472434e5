// A form for the arguments of a flow, made from their JSON schema.

import { element, fill, setAttribute, setText } from "./element.js";
import { number } from "./words.js";

const HINTS = {
  path: "a path",
  uri: "an address, with https:// or the like",
  "date-time": "as 2026-01-31T14:00:00Z",
  date: "as 2026-01-31",
  time: "as 14:00:00",
  duration: "as PT10M or P1D",
  uuid: "a UUID",
  email: "an e-mail address",
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
};
const TYPES = { date: "date", uri: "url", email: "email" };

/** Fields for arguments. */
export class SchemaForm {
  /**
   * @param {Object} schema of all arguments
   * @param {string[]} secrets names of those that no one is shown
   * @param {Object|null} given what they are now: only what is changed is told; null: all are new
   */
  constructor(schema, secrets, given = null) {
    const needed = new Set(schema.required ?? []);
    const properties = Object.entries(schema.properties ?? {});
    this.given = given;
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

  /** The arguments; null if a field cannot be read, which then says so. */
  read() {
    const values = {};
    let sound = true;
    for (const field of this.fields) {
      field.complain("");
      try {
        const value = field.value();
        if (value !== undefined && !this.#same(field.name, value)) values[field.name] = value;
      } catch (error) {
        field.complain(error.message);
        sound = false;
      }
    }
    return sound ? values : null;
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

  #same(name, value) {
    return this.given !== null && name in this.given && JSON.stringify(this.given[name]) === JSON.stringify(value);
  }
}

/** A field with its label, its hint and its error. */
export class Field {
  /**
   * @param {string} name
   * @param {HTMLElement} control
   * @param {{label?: string|Node, hint?: string, needed?: boolean}} told
   */
  constructor(name, control, { label = name, hint = "", needed = false, check = false } = {}) {
    this.name = name;
    this.control = control;
    const id = `field-${name}`;
    this.error = element("p", { class: "field-error", id: `${id}-error` });
    const told = hint ? element("p", { class: "hint", id: `${id}-hint` }, hint) : null;
    setAttribute(control, "id", id);
    setAttribute(control, "name", name);
    setAttribute(control, "aria-required", needed ? "true" : null);
    setAttribute(control, "aria-describedby", `${told ? `${id}-hint ` : ""}${id}-error`);
    const named = element(
      "label",
      { for: id },
      label,
      needed ? element("span", { class: "needed" }, " (required)") : null,
    );
    this.element = element(
      "div",
      { class: check ? "field check" : "field" },
      check ? [control, named] : [named, control],
      told,
      this.error,
    );
  }

  /** Say what is wrong with it; nothing for an empty text. */
  complain(message) {
    setText(this.error, message);
    setAttribute(this.control, "aria-invalid", message ? "true" : null);
  }

  /** What it holds; undefined for nothing. Raises for what cannot be read. */
  value() {
    return this.control.value === "" ? undefined : this.control.value;
  }
}

class NumberField extends Field {
  value() {
    if (this.control.validity.badInput) throw new Error("This is no number.");
    const whole = /^[+-]?\d+$/.test(this.control.value);
    if (whole && !Number.isSafeInteger(Number(this.control.value)))
      throw new Error("This is too large to be exact.");
    return this.control.value === "" ? undefined : Number(this.control.value);
  }
}

class CheckField extends Field {
  value() {
    return this.control.checked;
  }
}

class ChoiceField extends Field {
  constructor(name, choices, initial, told) {
    const options = choices.map((choice, at) =>
      element("option", { value: at, selected: same(choice, initial) }, choice === null ? "none" : String(choice)),
    );
    const none = initial === undefined ? element("option", { value: "" }, "—") : null;
    super(name, element("select", {}, none, options), told);
    this.choices = choices;
  }

  value() {
    return this.control.value === "" ? undefined : this.choices[Number(this.control.value)];
  }
}

class JsonField extends Field {
  value() {
    if (this.control.value.trim() === "") return undefined;
    try {
      return JSON.parse(this.control.value);
    } catch (error) {
      throw new Error(`This is no JSON: ${error.message}`);
    }
  }
}

function fieldOf(name, { schema, nullable }, needed, secret, given) {
  const initial = given && name in given ? given[name] : schema.default;
  const told = {
    label: element("code", {}, name),
    hint: hintOf(schema, secret, secret && given),
    needed: needed && !given,
  };
  if (secret || schema.writeOnly || schema.format === "password") {
    return new Field(name, element("input", { type: "password", autocomplete: "off" }), told);
  }
  const choices = schema.enum ?? ("const" in schema ? [schema.const] : null);
  if (choices) return new ChoiceField(name, nullable ? [...choices, null] : choices, initial, told);
  if (schema.type === "boolean" && !nullable)
    return new CheckField(name, element("input", { type: "checkbox", checked: initial === true }), {
      ...told,
      needed: false,
      check: true,
    });
  if (schema.type === "boolean") return new ChoiceField(name, [true, false, null], initial, told);
  if (schema.type === "integer" || schema.type === "number") {
    const step = schema.type === "integer" ? 1 : "any";
    return new NumberField(
      name,
      element("input", {
        type: "number",
        step,
        min: schema.minimum,
        max: schema.maximum,
        value: initial ?? "",
        inputmode: schema.type === "integer" ? "numeric" : "decimal",
      }),
      told,
    );
  }
  if (schema.type === "string") {
    return new Field(
      name,
      element("input", {
        type: TYPES[schema.format] ?? "text",
        value: initial ?? "",
        autocomplete: "off",
        spellcheck: "false",
      }),
      told,
    );
  }
  const area = element("textarea", {
    rows: 3,
    spellcheck: "false",
    placeholder: schema.type === "array" ? "[]" : schema.type === "object" ? "{}" : "",
  });
  if (initial !== undefined && initial !== null) area.value = JSON.stringify(initial, null, 2);
  return new JsonField(name, area, told);
}

/** A property without references, and whether it may be null. */
function resolved(property, root) {
  const { $ref, anyOf, allOf, ...rest } = property;
  if ($ref) {
    const target = $ref
      .split("/")
      .slice(1)
      .reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    const found = resolved(target ?? {}, root);
    return { ...found, schema: { ...found.schema, ...rest } };
  }
  if (allOf?.length === 1) return resolved({ ...allOf[0], ...rest }, root);
  if (!anyOf) return { schema: property, nullable: property.type === "null" };
  const others = anyOf.filter((one) => one.type !== "null");
  if (others.length !== 1) return { schema: rest, nullable: others.length < anyOf.length };
  return { schema: { ...resolved(others[0], root).schema, ...rest }, nullable: true };
}

function hintOf(schema, secret, unchanged) {
  const kind = secret ? "env:NAME or file:PATH, which the conductor looks up" : HINTS[schema.format];
  const said = [schema.description, kind, unchanged ? "left empty, it stays as it is" : null];
  const { minimum, maximum, exclusiveMinimum, minLength, maxLength, pattern } = schema;
  if (minimum !== undefined && maximum !== undefined) said.push(`${number(minimum)} to ${number(maximum)}`);
  else if (minimum !== undefined) said.push(`${number(minimum)} or more`);
  else if (maximum !== undefined) said.push(`at most ${number(maximum)}`);
  if (exclusiveMinimum !== undefined) said.push(`more than ${number(exclusiveMinimum)}`);
  if (minLength > 1) said.push(`at least ${minLength} characters`);
  if (maxLength && maxLength < 200) said.push(`at most ${maxLength} characters`);
  if (pattern) said.push(`like ${pattern}`);
  if (schema.type === "array" || schema.type === "object")
    said.push(`JSON, ${schema.type === "array" ? "a list" : "an object"}`);
  else if (!schema.type && !schema.enum && !("const" in schema)) said.push("JSON");
  const told = said.filter(Boolean).join("; ");
  return told ? told[0].toUpperCase() + told.slice(1) : "";
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
