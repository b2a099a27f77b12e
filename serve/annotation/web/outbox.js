// Answers on their way: each stays in this browser until the server has acknowledged it.
//
// An entry has a place of its own in localStorage, so two tabs never overwrite each other's; sending one twice is harmless.

import { backoff } from "./api.js";

const PLACE = "stickers.outbox";

/** Events: change; acknowledged {entry, answer}; refused {entry, error}; locked (sign in again). */
export class Outbox extends EventTarget {
  entries = [];
  trouble = null; // the error of the last try, null while all goes well
  kept = true; // false: the browser's storage is full, only this page knows the answers
  #send;
  #prefix;
  #running = false;
  #locked = false;
  #tries = 0;
  #wake = () => {};
  #count = 0;

  constructor(person, send) {
    super();
    this.#send = send;
    this.#prefix = `${PLACE}.${encodeURIComponent(person)}.`;
    const left = Object.keys(localStorage).filter((key) => key.startsWith(this.#prefix)).sort();
    this.entries = left.map((key) => ({ ...JSON.parse(localStorage.getItem(key)), key }));
    addEventListener("online", () => this.now());
  }

  get jobs() {
    return this.entries.map((entry) => entry.job);
  }

  /** `entry`: {job, kind: "answer" | "skip", body, title}; sent in the order of adding. */
  add(entry) {
    const key = `${this.#prefix}${String(Date.now()).padStart(15, "0")}.${String(this.#count++).padStart(5, "0")}`;
    this.entries.push({ ...entry, key });
    try {
      localStorage.setItem(key, JSON.stringify(entry));
    } catch {
      this.kept = false;
    }
    this.#tell("change");
    this.start();
  }

  /** Somebody is signed in (again). */
  unlock() {
    this.#locked = false;
    this.start();
  }

  /** Try without waiting any longer. */
  now() {
    this.#wake();
    this.start();
  }

  async start() {
    if (this.#running) return;
    this.#running = true;
    while (this.entries.length && !this.#locked) await this.#try(this.entries[0]);
    this.#running = false;
  }

  async #try(entry) {
    let answer;
    try {
      answer = await this.#send(entry);
    } catch (error) {
      await this.#failed(entry, error);
      return;
    }
    this.#drop([entry]);
    this.trouble = null;
    this.#tries = 0;
    this.#tell("change");
    this.#tell("acknowledged", { entry, answer });
  }

  async #failed(entry, error) {
    if (error.status === 401) {
      this.#locked = true;
      this.trouble = error;
      this.#tell("change");
      this.#tell("locked");
    } else if (error.status && !error.passes) {
      this.#drop(this.entries.filter((each) => each.job === entry.job)); // later revisions stand on this one
      this.trouble = null;
      this.#tell("change");
      this.#tell("refused", { entry, error });
    } else {
      this.trouble = error;
      this.#tell("change");
      await this.#rest(backoff(this.#tries++, error));
    }
  }

  #rest(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #drop(entries) {
    this.entries = this.entries.filter((each) => !entries.includes(each));
    for (const each of entries) localStorage.removeItem(each.key);
    if (!this.entries.length) this.kept = true;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
