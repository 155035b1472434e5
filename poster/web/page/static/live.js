// What happens, as it happens: one stream of events, which mends itself and says so while it is broken.

import { get } from "./api.js";
import { byId, element, fill } from "./element.js";
import { heardOfMe } from "./me.js";
import { serverSaid } from "./times.js";

const SILENCE_MS = 25_000; // a heartbeat comes each 15 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;
const PATIENCE_MS = 1_200; // a stream that is back so soon was not worth a word

/** A stream of events. While the tab is hidden it is closed: a browser keeps only six connections to a server. */
export class Live {
  /**
   * @param {string} path of the stream
   * @param {Object<string, function(any): void>} tell what to call for an event of each kind
   * @param {function(): void} caughtUp called when it is open, and now and then: whatever was shown may be old
   * @param {boolean} goesOn whether a stream that is opened again tells what was missed; else `caughtUp` reads all
   */
  constructor(path, tell, caughtUp, goesOn = false) {
    this.path = path;
    this.tell = tell;
    this.caughtUp = caughtUp;
    this.goesOn = goesOn;
    this.last = ""; // id of the last event
    this.source = null;
    this.wait = FIRST_WAIT_MS;
    this.retry = null;
    this.unanswered = false; // it was opened again, and nothing came yet
    this.ended = false;
    this.watch = null;
    this.complaint = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#rest() : this.#open()));
    addEventListener("pagehide", () => this.#rest());
    addEventListener("pageshow", (event) => event.persisted && this.#open());
    addEventListener("online", () => this.#open());
    this.#open();
  }

  /** Listen no more. */
  stop() {
    this.ended = true;
    this.#rest();
  }

  #open() {
    this.#close();
    if (this.ended || document.hidden) return;
    const url = new URL(this.path, location.origin);
    for (const kind of Object.keys(this.tell)) url.searchParams.append("kind", kind);
    if (this.last) url.searchParams.set("after", this.last);
    const source = new EventSource(url);
    this.source = source;
    source.addEventListener("begin", (event) => this.#opened(event));
    source.addEventListener("heartbeat", (event) => {
      serverSaid(this.#heard(event).at);
      this.caughtUp(); // a lost event costs no more than this
    });
    for (const kind of Object.keys(this.tell)) {
      source.addEventListener(kind, (event) => this.tell[kind](this.#heard(event)));
    }
    source.onerror = () => this.#broken();
    this.#expect();
  }

  #opened(event) {
    serverSaid(this.#heard(event).at);
    this.wait = FIRST_WAIT_MS;
    this.unanswered = false;
    this.#say(false);
    this.caughtUp();
  }

  #heard(event) {
    if (this.goesOn && event.lastEventId) this.last = event.lastEventId;
    this.#expect();
    return JSON.parse(event.data);
  }

  #expect() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.#broken(), SILENCE_MS);
  }

  #broken() {
    this.#close();
    this.#say(true);
    this.retry = setTimeout(() => this.#openIfKnown(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  /** A stream does not say why it is refused: who is not known any more is led to the login by this. */
  async #openIfKnown() {
    const waited = this.retry;
    try {
      heardOfMe(await get("/api/me"));
      if (this.retry !== waited) return; // meanwhile it was opened, or the tab was hidden
      if (this.unanswered) {
        this.last = ""; // the server answers, but not with this: begin anew
        this.caughtUp();
      }
      this.unanswered = true;
      this.#open();
    } catch (problem) {
      if (problem.status !== 401 && this.retry === waited) this.#broken();
    }
  }

  #rest() {
    this.#close();
    this.#say(false);
  }

  #close() {
    clearTimeout(this.watch);
    clearTimeout(this.retry);
    this.retry = null;
    this.source?.close();
    this.source = null;
  }

  #say(lost) {
    const place = byId("connection");
    if (!lost) {
      clearTimeout(this.complaint);
      this.complaint = null;
      fill(place);
      document.documentElement.dataset.live = this.source ? "yes" : "no";
      return;
    }
    document.documentElement.dataset.live = "no";
    this.complaint ??= setTimeout(() => {
      const words = "The connection to the server is lost. What you see may be old; trying again.";
      fill(place, element("p", { class: "lost" }, words));
    }, PATIENCE_MS);
  }
}
