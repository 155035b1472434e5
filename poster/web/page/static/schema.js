// What the JSON schema of one argument says. Pure.

import { number } from "./words.js";

const FORMATS = {
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

/** A property without references, and whether it may be null. */
export function resolved(property, root) {
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

/** Whether it is a list of texts. */
export function isOfWords(schema) {
  return schema.type === "array" && schema.items?.type === "string";
}

/** What is said below its field. */
export function hintOf(schema, secret, unchanged) {
  const kind = secret ? "env:NAME or file:PATH, which the conductor looks up" : FORMATS[schema.format];
  const described = schema.description?.replace(/\.$/, ""); // more may follow
  const said = [described, kind, unchanged ? "left empty, it stays as it is" : null];
  const { minimum, maximum, exclusiveMinimum, minLength, maxLength, pattern } = schema;
  if (minimum !== undefined && maximum !== undefined) said.push(`${number(minimum)} to ${number(maximum)}`);
  else if (minimum !== undefined) said.push(`${number(minimum)} or more`);
  else if (maximum !== undefined) said.push(`at most ${number(maximum)}`);
  if (exclusiveMinimum !== undefined) said.push(`more than ${number(exclusiveMinimum)}`);
  if (minLength > 1) said.push(`at least ${minLength} characters`);
  if (maxLength && maxLength < 200) said.push(`at most ${maxLength} characters`);
  if (pattern) said.push(`like ${pattern}`);
  if (isOfWords(schema)) said.push("with commas between, or JSON");
  else if (schema.type === "array" || schema.type === "object")
    said.push(`JSON, ${schema.type === "array" ? "a list" : "an object"}`);
  else if (!schema.type && !schema.enum && !("const" in schema)) said.push("JSON");
  const told = said.filter(Boolean).join("; ");
  return told ? told[0].toUpperCase() + told.slice(1) : "";
}
