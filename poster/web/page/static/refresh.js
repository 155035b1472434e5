// Asking again, but not too often.

/** Calls `work` when it is asked to, at most once in `pause` milliseconds, and never twice at the same time. */
export class Refresh {
  /**
   * @param {function(): Promise<void>} work
   * @param {number} pause
   */
  constructor(work, pause = 500) {
    this.work = work;
    this.pause = pause;
    this.timer = null;
    this.running = null;
    this.again = false;
    this.lastAt = -Infinity;
  }

  /** Soon. */
  ask() {
    if (this.running) this.again = true;
    else this.timer ??= setTimeout(() => this.now(), Math.max(0, this.lastAt + this.pause - performance.now()));
  }

  /** At once; what is asked meanwhile comes after it. */
  now() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.#run();
    return this.running;
  }

  async #run() {
    this.lastAt = performance.now();
    try {
      await this.work();
    } finally {
      this.running = null;
      if (this.again) {
        this.again = false;
        this.ask();
      }
    }
  }
}
