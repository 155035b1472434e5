// Asking again, but not too often.

/** Calls `work` when it is asked to, at most once in `pause` milliseconds, and never twice at the same time. */
export class Refresh {
  /**
   * @param {function(): Promise<void>} work
   * @param {number} pause
   * @param {function(Error): void} failed told what went wrong with what was asked for by `ask`
   */
  constructor(work, pause = 500, failed = () => {}) {
    this.work = work;
    this.failed = failed;
    this.pause = pause;
    this.timer = null;
    this.running = null;
    this.again = false;
    this.lastAt = -Infinity;
  }

  /** Soon. */
  ask() {
    if (this.running) this.again = true;
    else
      this.timer ??= setTimeout(
        () => this.now().catch(this.failed),
        Math.max(0, this.lastAt + this.pause - performance.now()),
      );
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
