// The graph of a job's flow: drawn by the server, coloured here, changed in place as its tasks go on.

import { address, getText } from "./api.js";
import { byId, setAttribute, setText } from "./element.js";
import { percent, stateWord } from "./words.js";

const NARROW = matchMedia("(max-width: 45rem)");

/** The picture. */
export class Graph {
  constructor(job) {
    this.job = job;
    this.nodes = new Map();
    this.tasks = [];
    this.drawnFor = null;
    NARROW.addEventListener("change", () => this.#draw());
  }

  /** Tasks that have begun, and whose effect cannot be undone. */
  get final() {
    const begun = this.tasks.filter((task) => task.state !== "pending").map((task) => task.name);
    return begun.filter((name) => this.nodes.get(name)?.querySelector(".final"));
  }

  /** Tell the tasks' states. Drawn anew only where there are others. */
  async show(tasks) {
    this.tasks = tasks;
    const names = tasks.map((task) => task.name).join("\n");
    if (this.drawnFor !== names) {
      this.drawnFor = names;
      await this.#draw();
    }
    tasks.forEach((task) => this.#tell(task));
  }

  async #draw() {
    try {
      const text = await getText(
        address(`/jobs/${this.job}/picture`, { direction: NARROW.matches ? "down" : "right" }),
      );
      const drawn = document.importNode(
        new DOMParser().parseFromString(text, "image/svg+xml").documentElement,
        true,
      );
      this.nodes = new Map([...drawn.querySelectorAll("[data-task]")].map((node) => [node.dataset.task, node]));
      const box = byId("graph");
      box.replaceChildren(drawn);
      box.scrollLeft = NARROW.matches ? (box.scrollWidth - box.clientWidth) / 2 : 0;
      setAttribute(byId("final"), "hidden", !drawn.querySelector(".final"));
      setAttribute(byId("graph-panel"), "hidden", this.nodes.size < 2);
      this.tasks.forEach((task) => this.#tell(task));
    } catch (problem) {
      this.drawnFor = null; // with the next news
    }
  }

  #tell(task) {
    const node = this.nodes.get(task.name);
    if (!node) return;
    const state = task.not_responding ? "not_responding" : task.state;
    setAttribute(node, "class", `node ${state}`);
    setAttribute(
      node.querySelector(".sign"),
      "href",
      `#sign-${task.not_responding ? "revert_failure" : task.state}`,
    );
    const far = task.state === "running" && !task.not_responding ? ` ${percent(task.progress)}` : "";
    setText(node.querySelector(".state"), stateWord(state) + far);
    const bar = node.querySelector(".bar");
    setAttribute(bar, "width", task.state === "running" ? (bar.dataset.whole * task.progress).toFixed(1) : 0);
  }
}
