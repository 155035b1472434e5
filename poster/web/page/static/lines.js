// Lines that the server numbers: the newest ones, each once, in the order of their numbers.

import { address, get } from "./api.js";
import { number } from "./words.js";

const PAGE = 1000;
const END = "9223372036854775807"; // after all numbers; as text, because no number here is so exact
const ROOM = 3000; // lines that are kept
export const MOST = 20_000; // with earlier ones that were asked for

/** Lines of a log or of a history. What comes live may be ahead of lines that have not come yet. */
export class Lines {
  /** @param {string} path where they are read */
  constructor(path) {
    this.path = path;
    this.held = [];
    this.readTo = null; // the last line that was fetched; null: none was
    this.earlier = false; // whether there may be lines before the first one
    this.room = ROOM;
  }

  /** Whether earlier lines can be asked for. */
  get hasRoom() {
    return this.held.length < MOST;
  }

  /** Fetch what is new: the newest lines at first, and after so long a time that more than a page has come. */
  async read() {
    if (this.readTo !== null) {
      const lines = await this.#fetched({ after: this.readTo });
      if (lines.length < PAGE) return this.#take(lines);
    }
    const newest = await this.#fetched({ before: END });
    if (newest.length < PAGE) this.earlier = false;
    else if (!this.#leadsTo(newest[0].seq)) this.#forgetBefore(newest[0].seq);
    return this.#take(newest);
  }

  /** Fetch lines before the first one. */
  async readEarlier() {
    const first = this.held[0].seq;
    const lines = await this.#fetched({ before: first });
    if (this.held[0].seq !== first) return; // meanwhile others came
    this.held = [...lines, ...this.held];
    this.earlier = lines.length === PAGE;
    this.room = Math.min(MOST, this.held.length + ROOM);
  }

  /** Take in a line that came live; whether it is new. */
  hear(line) {
    if (this.earlier && this.held.length && line.seq < this.held[0].seq) return false;
    const fresh = this.#insert(line);
    this.#trim();
    return fresh;
  }

  /** `1,000 newest lines`, or `3 lines` if these are all. */
  get said() {
    const many = this.held.length;
    return `${number(many)} ${this.earlier ? "newest " : ""}line${many === 1 ? "" : "s"}`;
  }

  async #fetched(which) {
    return get(address(this.path, { ...which, limit: PAGE }));
  }

  #take(lines) {
    for (const line of lines) this.#insert(line);
    this.readTo = Math.max(this.readTo ?? 0, lines.at(-1)?.seq ?? 0);
    this.#trim();
  }

  #insert(line) {
    let at = this.held.length;
    while (at > 0 && this.held[at - 1].seq > line.seq) at -= 1;
    if (at > 0 && this.held[at - 1].seq === line.seq) return false;
    this.held.splice(at, 0, line);
    return true;
  }

  /** Whether nothing is missing between what was fetched and this line: it, too, was told live. */
  #leadsTo(seq) {
    return this.readTo !== null && this.held.some((line) => line.seq === seq);
  }

  #forgetBefore(seq) {
    this.held = this.held.filter((line) => line.seq >= seq);
    this.earlier = true;
  }

  #trim() {
    if (this.held.length <= this.room) return;
    this.held.splice(0, this.held.length - this.room);
    this.earlier = true;
  }
}
