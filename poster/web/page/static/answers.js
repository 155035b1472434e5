// What became of each of many jobs: by what was answered, unfolded as one wants it.

import { element, setAttribute, setText } from "./element.js";
import { badge } from "./signs.js";
import { count, number, shortId } from "./words.js";

const FEW = 60; // so many stand unfolded
const PAGE = 500; // so many are listed at once

/** Groups of answers, those that were refused first; null for none. */
export function answersElement(answers) {
  if (!answers.length) return null;
  const groups = [...Map.groupBy(answers, kindOf).values()].sort((one, other) => one[0].ok - other[0].ok);
  const open = answers.length <= FEW;
  return element(
    "div",
    { class: "answers" },
    groups.map((group) => new AnswerGroup(group, open).element),
  );
}

/** The same is said of each job; or it has a state. */
function kindOf({ id, ok, state, error }) {
  return ok ? `accepted ${state}` : said(id, error);
}

function said(id, error) {
  return error.replace(`job ${id}: `, "").replaceAll(id, "…");
}

class AnswerGroup {
  constructor(answers, open) {
    this.answers = answers;
    this.listed = 0;
    this.list = element("ul", {});
    this.more = element("button", { type: "button", class: "small", onclick: () => this.#list() });
    const unfolded = () => this.listed || this.#list();
    this.element = element(
      "details",
      { class: "answer-group", open, ontoggle: unfolded },
      element("summary", {}, ...this.#summary()),
      this.list,
      this.more,
    );
    if (open) this.#list();
  }

  #summary() {
    const [{ id, ok, state, error }] = this.answers;
    const many = `${count(this.answers.length, "job")}: `;
    return [many, ok ? badge(state) : element("span", { class: "refused" }, said(id, error))];
  }

  /** List more of them. Thousands at once would hold up whoever wants to see one. */
  #list() {
    const next = this.answers.slice(this.listed, this.listed + PAGE);
    this.list.append(...next.map(item));
    this.listed += next.length;
    const left = this.answers.length - this.listed;
    setText(this.more, `Show ${number(Math.min(left, PAGE))} more of ${number(left)}`);
    setAttribute(this.more, "hidden", left === 0);
    if (this.listed > PAGE) this.list.children[this.listed - next.length].firstElementChild.focus();
  }
}

function item({ id, ok }) {
  const link = element("a", { href: `/jobs/${id}` }, element("code", {}, shortId(id)));
  return element("li", { "data-ok": String(ok) }, link);
}
