// What of all jobs is shown: states, a flow, words, and from where on. It stands in the page's address.

import { byId, element, fill, setAttribute, setText } from "./element.js";
import { address } from "./api.js";
import { sign } from "./signs.js";
import { number, stateWord } from "./words.js";

export const STATES = [
  "pending",
  "running",
  "pausing",
  "paused",
  "cancelling",
  "reverting",
  "completed",
  "failed",
  "cancelled",
  "revert_failed",
];
const SELDOM = new Set(["pausing", "paused", "reverting"]);
const ID_LENGTH = 26;
const PAGE = 50;
const SEARCHED = 500; // jobs that are looked through for words at once

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
    const limit = this.words ? SEARCHED : PAGE;
    return address("/api/jobs", {
      state: [...this.states],
      flow: this.flow,
      cursor: this.cursor || this.#cursorOfId(),
      limit,
    });
  }

  /** The filter as requests about many jobs take it; null if it has words, which only we know. */
  get asFilter() {
    if (this.words) return null;
    return { state: this.states.size ? [...this.states] : null, flow: this.flow || null };
  }

  /** Whether a job has the words. */
  fits(job) {
    const words = this.words.toLowerCase();
    if (!words || job.id.startsWith(words)) return true;
    const told = [
      job.flow,
      job.key,
      job.reason,
      job.error?.message,
      job.error?.type,
      job.error?.task,
      job.conductor,
    ];
    return told.some((text) => text?.toLowerCase().includes(words));
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
    const counts = this.flow ? (stats.flows[this.flow] ?? {}) : stats.states;
    for (const [state, chip] of this.chips) {
      const many = state ? (counts[state] ?? 0) : Object.values(counts).reduce((sum, one) => sum + one, 0);
      setText(chip.querySelector(".count"), number(many));
      setAttribute(chip, "hidden", SELDOM.has(state) && many === 0 && !this.states.has(state));
    }
    this.#tellFlows(Object.keys(stats.flows));
  }

  /** How many jobs the filter lets through, by what `/api/stats` says. */
  countOf(stats) {
    const counts = this.flow ? (stats.flows[this.flow] ?? {}) : stats.states;
    const states = this.states.size ? [...this.states] : STATES;
    return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  }

  /** No filter any more. */
  clear() {
    this.states.clear();
    this.flow = this.words = "";
    this.#show();
    this.#apply();
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

  /** The list is by id: what begins with a part of one comes first after the last id that could begin so. */
  #cursorOfId() {
    const words = this.words.toLowerCase();
    return /^0[0-9a-hjkmnp-tv-z]{3,25}$/.test(words) ? words.padEnd(ID_LENGTH, "z") : "";
  }
}
