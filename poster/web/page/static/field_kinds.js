// Fields for what is no text: numbers, yes and no, one of some choices, JSON, words.

import { element } from "./element.js";
import { Field } from "./field.js";

/** A number. */
export class NumberField extends Field {
  read() {
    const whole = /^[+-]?\d+$/.test(this.held);
    if (whole && !Number.isSafeInteger(Number(this.held))) throw new Error("This is too large to be exact.");
    return Number(this.held);
  }

  emptied() {
    if (this.nullable) return null;
    throw new Error("It takes a number.");
  }
}

/** Yes or no. Without a value to begin with it is told in any case: an empty box means no. */
export class CheckField extends Field {
  constructor(name, initial, told) {
    super(name, element("input", { type: "checkbox", checked: initial === true }), { ...told, needed: false });
    if (initial === undefined) this.built = undefined;
  }

  get held() {
    return this.control.checked;
  }

  value() {
    return this.held;
  }
}

/** One of some values. */
export class ChoiceField extends Field {
  constructor(name, choices, initial, told) {
    const at = choices.findIndex((choice) => same(choice, initial));
    const options = choices.map((choice, number) =>
      element("option", { value: number, selected: number === at }, choice === null ? "none" : String(choice)),
    );
    super(name, element("select", {}, at < 0 ? element("option", { value: "" }, "—") : null, options), told);
    this.choices = choices;
  }

  read() {
    return this.choices[Number(this.held)];
  }
}

/** A list, an object, or whatever else is written as JSON. */
export class JsonField extends Field {
  constructor(name, type, initial, told) {
    const empty = { array: "[]", object: "{}" }[type] ?? "";
    const area = element("textarea", { rows: 3, spellcheck: "false", placeholder: empty });
    if (initial !== undefined && initial !== null) area.value = JSON.stringify(initial, null, 2);
    super(name, area, told);
    this.empty = empty;
  }

  get held() {
    return this.control.value.trim();
  }

  read() {
    return parsed(this.held);
  }

  emptied() {
    if (this.nullable) return null;
    if (this.empty) return parsed(this.empty);
    throw new Error("It takes JSON.");
  }
}

/** A list of words: as JSON, or as people write them, with commas or line ends between. */
export class WordsField extends JsonField {
  read() {
    if (this.held.startsWith("[")) return super.read();
    const words = this.held.split(/[,\n]/).map((word) => word.trim());
    return words.filter((word) => word !== "");
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
