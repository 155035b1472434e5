// What a job's tasks logged: to follow, to search, to take away.

import { get } from "./api.js";
import { Button } from "./button.js";
import { dayClock } from "./day.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { LineList } from "./line_list.js";
import { Lines } from "./lines.js";
import { onceAFrame } from "./once_a_frame.js";
import { say, showProblem } from "./said.js";
import { timeElement } from "./times.js";
import { number } from "./words.js";

const PAGE = 1000;
const NEAR = 24; // pixels from the end where one still follows
const TYPED_MS = 600; // after the last key, what was found is said

/** The log. */
export class Logs {
  constructor(job) {
    this.job = job;
    this.lines = new Lines(`/api/jobs/${job}/logs`);
    this.words = "";
    this.typed = null;
    this.draw = onceAFrame(() => this.list.show());
    this.#build();
  }

  /** Read what is new. */
  async read() {
    await this.lines.read();
    this.draw();
  }

  /** Take in a line that came live. */
  hear(line) {
    if (this.lines.hear(line)) this.draw();
  }

  #build() {
    this.search = element("input", {
      type: "search",
      placeholder: "Search the log",
      "aria-label": "Search the log",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.#filter(),
    });
    this.follow = element("input", { type: "checkbox", checked: true, onchange: () => this.#follow() });
    this.count = element("span", { class: "hint" });
    this.problem = element("div", {});
    byId("log").firstElementChild.append(
      this.search,
      element("label", { class: "check" }, this.follow, "Follow"),
      new Button("Download", () => this.#download(), "small").element,
    );
    this.list = new LineList(this.lines, {
      name: "Lines of the log",
      look: "log-lines",
      item: (line) => this.#item(line),
      shown: () => this.#shown(),
    });
    this.list.box.classList.add("log-box");
    this.list.box.addEventListener("scroll", () => this.#scrolled());
    this.none = element("p", { class: "hint" }, "Nothing was logged yet.");
    byId("log").append(this.problem, this.none, ...this.list.elements, this.count);
    setAttribute(this.list.box, "hidden", true);
  }

  #shown() {
    const none = this.lines.held.length === 0;
    setAttribute(this.list.box, "hidden", none);
    setAttribute(this.none, "hidden", !none);
    setAttribute(this.count, "hidden", none);
    this.#tellCount();
    this.#follow();
  }

  #item(line) {
    const parts = [
      timeElement(line.at, (at) => dayClock(at, true)),
      element("span", { class: "line-task" }, line.task ?? ""),
      element(
        "span",
        { class: "line-said" },
        line.level && line.level !== "info" ? element("b", {}, `${line.level} `) : null,
        line.message ?? "",
      ),
    ];
    const made = element("li", { class: `line ${line.level ?? ""}`, "data-seq": line.seq }, parts);
    setAttribute(made, "hidden", !this.#fits(made));
    return made;
  }

  #fits(item) {
    return !this.words || item.textContent.toLowerCase().includes(this.words);
  }

  #filter() {
    this.words = this.search.value.trim().toLowerCase();
    for (const item of this.list.items) setAttribute(item, "hidden", !this.#fits(item));
    this.#tellCount();
    clearTimeout(this.typed);
    if (this.words) this.typed = setTimeout(() => say(this.count.textContent), TYPED_MS);
  }

  #tellCount() {
    const { said } = this.lines;
    const found = this.words ? this.list.items.filter((item) => !item.hidden).length : null;
    const all = this.lines.earlier ? `The ${said}` : said;
    setText(this.count, found === null ? all : `${number(found)} of ${this.lines.earlier ? "the " : ""}${said}`);
  }

  #follow() {
    if (this.follow.checked) this.list.box.scrollTop = this.list.box.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.list.box;
    if (scrollTop + clientHeight < scrollHeight - NEAR) this.follow.checked = false;
  }

  async #download() {
    try {
      const text = [];
      for (let after = 0, lines = []; text.length === 0 || lines.length === PAGE; after = lines.at(-1).seq) {
        lines = await get(`/api/jobs/${this.job}/logs?after=${after}&limit=${PAGE}`);
        if (!lines.length) break;
        text.push(...lines.map(written));
      }
      const url = URL.createObjectURL(new Blob([`${text.join("\n")}\n`], { type: "text/plain" }));
      element("a", { href: url, download: `${this.job}.log` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      fill(this.problem);
    } catch (problem) {
      showProblem(this.problem, problem);
    }
  }
}

function written(line) {
  return [line.at, line.level, line.task, line.message].map((part) => part ?? "-").join(" ");
}
