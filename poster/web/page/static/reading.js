// What stands at an address of the API: shown, and read again. A problem is told, and what may pass is tried again.

import { get } from "./api.js";
import { byId, element } from "./element.js";
import { Refresh } from "./refresh.js";
import { showProblem } from "./said.js";

const AGAIN_MS = 2000;

/** Reads when it is asked to, as often as `Refresh` lets it. */
export class Reading {
  /**
   * @param {function(): string} path where to read now
   * @param {function(any): void} show
   * @param {number} pause in milliseconds, between two readings
   */
  constructor(path, show, pause = 500) {
    this.path = path;
    this.show = show;
    this.refresh = new Refresh(() => this.#read(), pause, reportError);
    this.place = element("div", {});
    this.shown = null; // where that was read which is shown
    this.failures = 0; // since something was read
    byId("problem").append(this.place);
  }

  /** How long to wait between two readings from now on. */
  set pause(pause) {
    this.refresh.pause = pause;
  }

  /** Soon. */
  ask() {
    this.refresh.ask();
  }

  /** At once. */
  now() {
    return this.refresh.now();
  }

  async #read() {
    const path = this.path();
    let answer;
    let problem = null;
    try {
      answer = await get(path);
    } catch (failed) {
      problem = failed;
    }
    if (path !== this.path()) return this.#read(); // meanwhile something else is wanted
    if (problem) return this.#failed(path, problem);
    this.failures = 0;
    this.shown = path;
    showProblem(this.place, null);
    return this.show(answer);
  }

  /** A server that is away for a moment is not worth a word to who still sees what it said. */
  #failed(path, problem) {
    this.failures += 1;
    const passes = problem.passes || problem.status >= 500;
    if (passes) setTimeout(() => this.ask(), AGAIN_MS);
    if (passes && this.failures === 1 && this.shown === path) return;
    const words = problem.message.replace(/\.$/, "");
    showProblem(this.place, new Error(passes ? `${words}. Trying again.` : `${words}.`));
  }
}
