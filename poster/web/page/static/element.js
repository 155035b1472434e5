// Elements of the page. Text only ever becomes text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with its attributes and children. An attribute that is null, undefined or false is left out; a function
 * listens to the event that its name says (`onclick`).
 * @param {string} name
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false|Array)} children
 */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same, for a picture. */
export function picture(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** The element of the page that has this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Write `text` into an element, only if it is another one: a selection in it stays. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Set an attribute, or take it away; only if that changes something. */
export function setAttribute(target, name, value) {
  const said =
    value === null || value === undefined || value === false ? null : value === true ? "" : String(value);
  if (target.getAttribute(name) === said) return;
  if (said === null) target.removeAttribute(name);
  else target.setAttribute(name, said);
}

/** Give an element other children. */
export function fill(target, ...children) {
  target.replaceChildren(...children.flat(Infinity).filter(isThere));
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else setAttribute(made, name, value);
  }
  made.append(...children.flat(Infinity).filter(isThere).map(asChild));
  return made;
}

function isThere(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

function asChild(child) {
  return child instanceof Node ? child : String(child);
}
