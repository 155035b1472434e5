// What a job's tasks logged: to follow, to search, to take away.

import { get } from "./api.js";
import { Button } from "./button.js";
import { byId, element, fill, setAttribute, setText } from "./element.js";
import { showProblem } from "./said.js";
import { clock, timeElement } from "./times.js";
import { count, number } from "./words.js";

const PAGE = 1000;
const KEPT = 3000; // lines on the page; the download has all
const NEAR = 24; // pixels from the end where one still follows

/** The log. */
export class Logs {
  constructor(job) {
    this.job = job;
    this.seen = new Set();
    this.last = 0;
    this.waiting = [];
    this.words = "";
    this.#build();
  }

  /** Read what came since the last line that is known. */
  async read() {
    for (let more = true; more;) {
      const lines = await get(`/api/jobs/${this.job}/logs?after=${this.last}&limit=${PAGE}`);
      this.add(lines);
      more = lines.length === PAGE;
    }
  }

  /** Add lines; they are shown together with the next picture that is drawn. */
  add(lines) {
    const fresh = lines.filter((line) => !this.seen.has(line.seq));
    for (const line of fresh) this.seen.add(line.seq);
    this.last = Math.max(this.last, ...fresh.map((line) => line.seq));
    if (fresh.length && !this.waiting.length) setTimeout(() => this.#show(), 50);
    this.waiting.push(...fresh);
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
    this.count = element("span", { class: "hint", role: "status" });
    const download = new Button("Download", () => this.#download(), "small");
    this.problem = element("div", {});
    byId("log").firstElementChild.append(
      this.search,
      element("label", { class: "check" }, this.follow, "Follow"),
      download.element,
    );
    this.list = element("ol", { class: "lines log-lines" });
    this.box = element(
      "div",
      {
        class: "scroll tall log-box",
        tabindex: 0,
        role: "region",
        "aria-label": "Lines of the log",
        onscroll: () => this.#scrolled(),
      },
      this.list,
    );
    this.none = element("p", { class: "hint" }, "Nothing was logged yet.");
    byId("log").append(this.problem, this.none, this.box, this.count);
    setAttribute(this.box, "hidden", true);
  }

  #show() {
    const lines = this.waiting.splice(0);
    this.list.append(...lines.slice(-KEPT).map((line) => this.#line(line)));
    while (this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    setAttribute(this.box, "hidden", false);
    setAttribute(this.none, "hidden", true);
    this.#tellCount();
    this.#follow();
  }

  #line(line) {
    const parts = [
      timeElement(line.at, (at) => clock(at, true)),
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

  #fits(line) {
    return !this.words || line.textContent.toLowerCase().includes(this.words);
  }

  #filter() {
    this.words = this.search.value.trim().toLowerCase();
    for (const line of this.list.children) setAttribute(line, "hidden", !this.#fits(line));
    this.#tellCount();
  }

  #tellCount() {
    const shown = this.words
      ? [...this.list.children].filter((line) => !line.hidden).length
      : this.list.childElementCount;
    const all = this.seen.size;
    setText(this.count, shown === all ? count(all, "line") : `${number(shown)} of ${count(all, "line")}`);
  }

  #follow() {
    if (this.follow.checked) this.box.scrollTop = this.box.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    if (scrollTop + clientHeight < scrollHeight - NEAR) this.follow.checked = false;
  }

  async #download() {
    try {
      const text = [];
      for (let after = 0, lines = []; text.length === 0 || lines.length === PAGE; after = lines.at(-1).seq) {
        lines = await get(`/api/jobs/${this.job}/logs?after=${after}&limit=${PAGE}`);
        if (!lines.length) break;
        text.push(
          ...lines.map((line) =>
            [line.at, line.level, line.task, line.message].map((part) => part ?? "-").join(" "),
          ),
        );
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
