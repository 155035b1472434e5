// Why a list is empty, and what to do about it; or why nothing of it runs.

import { byId, element, fill } from "./element.js";

/** What stands in place of the rows. */
export class Emptiness {
  /**
   * @param {Filters} filters
   * @param {function(): void} further called when more jobs are to be looked through
   */
  constructor(filters, further) {
    this.filters = filters;
    this.further = further;
    this.kind = "";
  }

  /** @param {{jobs: Array, next_cursor: string|null}} page */
  tell(page, stats) {
    const kind = this.#kindOf(page, stats);
    if (kind === this.kind) return;
    this.kind = kind;
    fill(byId("empty"), this.#shown(kind));
  }

  #kindOf(page, stats) {
    if (page.jobs.length) return this.#stands(page, stats) ? "no conductor" : "";
    if (this.filters.lookedThroughPart(page)) return this.filters.cursor ? "none further" : "none so far";
    if (this.filters.cursor) return "none older";
    return this.filters.any ? "none matches" : "none at all";
  }

  #stands({ jobs }, stats) {
    return stats?.conductors.alive === 0 && jobs.some((job) => job.state === "pending");
  }

  #shown(kind) {
    const clear = button("Clear the filters", () => this.filters.clear());
    const further = button("Look further", this.further);
    switch (kind) {
      case "no conductor":
        return element(
          "p",
          { class: "notice" },
          "No conductor is alive, so nothing runs. Start one: ",
          code("conductor run"),
        );
      case "none so far":
        return block("No job matches among the 10,000 newest looked through.", further, clear);
      case "none further":
        return block("No job matches among the next 10,000 looked through.", further, clear);
      case "none older":
        return block(this.filters.any ? "No older job matches." : "There are no older jobs.");
      case "none matches":
        return block("No job matches.", clear);
      case "none at all":
        return block(
          "There are no jobs yet.",
          element("p", {}, "Post one here, or with ", code("poster post FLOW NAME=VALUE"), "."),
        );
      default:
        return null;
    }
  }
}

function block(words, ...more) {
  return element("div", { class: "empty" }, element("p", {}, words), more);
}

function button(label, act) {
  return element("button", { type: "button", onclick: act }, label);
}

function code(text) {
  return element("code", {}, text);
}
