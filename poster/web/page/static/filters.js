// What of all jobs is shown: states, a flow, words, and from where on. It stands in the page's address.

import { byId, element, fill, setAttribute, setText } from "./element.js";
import { address } from "./api.js";
import { sign } from "./signs.js";
import { STATES } from "./states.js";
import { number, stateWord } from "./words.js";

const SELDOM = new Set(["pausing", "paused", "reverting"]);
const PAGE = 50;

/** The filter, and its controls. */
export class Filters {
  /** @param {function(): void} changed called when others are wanted */
  constructor(changed) {
    this.changed = changed;
    this.chips = new Map();
    this.#read();
    this.#build();
    addEventListener("popstate", () => {
      this.#read();
      this.#show();
      changed();
    });
  }

  /** Whether anything is filtered. */
  get any() {
    return this.states.size > 0 || this.flow !== "" || this.words !== "";
  }

  /** Where the API tells these jobs. */
  get asked() {
    return address("/api/jobs", {
      state: [...this.states],
      flow: this.flow,
      q: this.words,
      cursor: this.cursor,
      limit: PAGE,
    });
  }

  /**
   * All that match, as requests about many jobs ask for them. How many they are is not known of a search.
   * @param {Object|null} stats what `/api/stats` says
   * @param {{jobs: Array, next_cursor: string|null}} page
   */
  matching(stats, page) {
    const filter = { state: this.states.size ? [...this.states] : null, flow: this.flow || null };
    if (this.words) filter.q = this.words;
    const counts = stats && !this.words ? this.#counts(stats) : null;
    const total = counts && (filter.state ?? STATES).reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    const more = total === null ? Boolean(this.cursor || page.next_cursor) : total > page.jobs.length;
    return { filter, counts, total, more };
  }

  /** Whether a search has not looked through all jobs yet: the page it found is not full. */
  lookedThroughPart({ jobs, next_cursor: next }) {
    return this.words !== "" && next !== null && jobs.length < PAGE;
  }

  /** The address of this page from another job on. */
  at(cursor) {
    return address("/", { state: [...this.states], flow: this.flow, q: this.words, cursor });
  }

  /** Go to a part of the list. */
  go(cursor) {
    this.cursor = cursor;
    history.pushState(null, "", this.at(cursor));
    this.changed();
  }

  /** How many jobs of each state there are, by what `/api/stats` says. */
  tellCounts(stats) {
    const counts = this.#counts(stats);
    for (const [state, chip] of this.chips) {
      const many = state ? (counts[state] ?? 0) : Object.values(counts).reduce((sum, one) => sum + one, 0);
      setText(chip.querySelector(".count"), number(many));
      setAttribute(chip, "hidden", SELDOM.has(state) && many === 0 && !this.states.has(state));
    }
    this.#tellFlows(Object.keys(stats.flows));
  }

  /** No filter any more. The focus goes to what says so: what asked for it may be gone. */
  clear() {
    this.states.clear();
    this.flow = this.words = "";
    this.#show();
    this.#apply();
    this.chips.get("").focus();
  }

  #counts(stats) {
    return this.flow ? (stats.flows[this.flow] ?? {}) : stats.states;
  }

  #read() {
    const query = new URLSearchParams(location.search);
    this.states = new Set(query.getAll("state").filter((state) => STATES.includes(state)));
    this.flow = query.get("flow") ?? "";
    this.words = (query.get("q") ?? "").trim();
    this.cursor = query.get("cursor") ?? "";
  }

  #build() {
    this.chips.set("", this.#chip("", "All"));
    for (const state of STATES) this.chips.set(state, this.#chip(state, stateWord(state)));
    fill(byId("states"), ...this.chips.values());
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("flow").addEventListener("change", () => {
      this.flow = byId("flow").value;
      this.#apply();
    });
    byId("search").addEventListener("input", () => {
      this.words = byId("search").value.trim();
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.#apply(true), 200);
    });
    this.#tellFlows([]);
    this.#show();
  }

  #chip(state, word) {
    const press = () => {
      if (!state) this.states.clear();
      else if (!this.states.delete(state)) this.states.add(state);
      this.#show();
      this.#apply();
    };
    const told = [state && sign(state), element("span", {}, word), element("span", { class: "count" }, "0")];
    return element(
      "button",
      {
        type: "button",
        class: `chip ${state}`,
        "aria-pressed": "false",
        onclick: press,
        hidden: SELDOM.has(state),
      },
      told,
    );
  }

  #show() {
    for (const [state, chip] of this.chips) {
      const pressed = state ? this.states.has(state) : this.states.size === 0;
      setAttribute(chip, "aria-pressed", String(pressed));
    }
    if (byId("search").value.trim() !== this.words) byId("search").value = this.words;
    this.#tellFlows([]);
    byId("flow").value = this.flow;
  }

  #tellFlows(flows) {
    const select = byId("flow");
    const there = new Set([...select.options].map((option) => option.value));
    for (const flow of [...flows, this.flow].sort()) {
      if (flow && !there.has(flow)) select.append(element("option", { value: flow }, flow));
      there.add(flow);
    }
    if (select.value !== this.flow) select.value = this.flow;
  }

  #apply(typed = false) {
    this.cursor = "";
    if (typed) history.replaceState(null, "", this.at(""));
    else history.pushState(null, "", this.at(""));
    this.changed();
  }
}
