// Which job is answered now, which waits decoded, which were answered already. No element of the page is known here.

import { backoff, call } from "./api.js";
import { loadStrip } from "./player.js";

const BOARDS_KEPT = 2; // answered jobs whose pictures stay decoded for going back
const LOOK_AGAIN_MS = 20_000;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One job in front of a person: what is picked and flagged, and how that came about. */
export class Visit {
  strips = null;
  board = null;
  picks = new Set();
  flags = {};
  seconds = 0; // spent before this page was loaded
  #past = [];
  #stop = new AbortController();
  #loading = null;

  constructor(job) {
    this.job = job;
    this.clips = job.clips;
    this.revision = job.answer ? job.revision : -1; // of the last answer given
    if (job.answer) this.restore(job.answer);
    this.given = job.answer ? this.said : null;
  }

  restore({ picks, flags }) {
    this.picks = new Set(picks);
    this.flags = { ...flags };
  }

  get prompts() {
    return [...new Set(this.clips.map((clip) => clip.prompt))];
  }

  get answer() {
    return { picks: this.clips.map((clip) => clip.id).filter((id) => this.picks.has(id)), flags: this.flags };
  }

  /** The answer as text, to compare. */
  get said() {
    return JSON.stringify([[...this.picks].sort(), Object.entries(this.flags).sort()]);
  }

  get changed() {
    return this.said !== this.given;
  }

  toggle(id) {
    this.#remember();
    if (!this.picks.delete(id)) this.picks.add(id);
  }

  /** `what`: "unsafe", "broken" or null for neither. What is flagged is not picked. */
  flag(id, what) {
    this.#remember();
    delete this.flags[id];
    if (what) this.flags[id] = what;
    if (what) this.picks.delete(id);
  }

  undo() {
    const before = this.#past.pop();
    if (before) this.restore(before);
    return Boolean(before);
  }

  load() {
    this.#loading ??= this.#decode();
    return this.#loading;
  }

  release() {
    for (const strip of this.strips ?? []) strip?.close();
    this.strips = this.board = this.#loading = null;
  }

  async #decode() {
    const rest = (tries) => sleep(backoff(tries));
    const load = ({ url, frames }) => loadStrip(url, frames, this.#stop.signal, rest);
    this.strips = await Promise.all(this.clips.map(load));
  }

  #remember() {
    this.#past.push({ picks: [...this.picks], flags: { ...this.flags } });
  }
}

/** Events: ready {visit} (all its pictures are decoded); change (what is here, or why nothing is); locked. */
export class Desk extends EventTarget {
  now = null; // the job to answer
  queue = []; // those after it
  trail = []; // those answered, oldest first
  reason = "";
  #place = null; // where in the trail the person looks, null: at `now`
  #asking = false;
  #older = null; // jobs of earlier days, newest first; null: not asked yet
  #timer = null;

  constructor(person, outbox, { rulings = false } = {}) {
    super();
    this.outbox = outbox;
    this.rulings = rulings;
    this.draftPlace = `stickers.draft.${encodeURIComponent(person)}`;
    outbox.addEventListener("acknowledged", ({ detail }) => this.#acknowledged(detail));
    outbox.addEventListener("refused", ({ detail }) => this.#refused(detail));
  }

  get here() {
    return this.#place === null ? this.now : this.trail[this.#place];
  }

  get revisiting() {
    return this.#place !== null;
  }

  get held() {
    const ids = [this.now, ...this.queue].filter(Boolean).map((visit) => visit.job.job_id);
    return [...new Set([...ids, ...this.outbox.jobs])];
  }

  /** Ask for jobs until one waits behind the present one; waits while the network is away. */
  async fill() {
    if (this.#asking) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    for (let tries = 0; !this.queue.length && !this.outbox.trouble; ) {
      if (this.now && !this.now.strips) await this.now.load(); // its pictures come before the next one's
      try {
        const { job, reason } = await call(this.rulings ? "api/lead/rulings/next" : "api/next", { have: this.held });
        tries = 0;
        if (!this.#take(job, reason)) break;
      } catch (error) {
        if (error.status && !error.passes) {
          this.#nothing(error.message);
          if (error.status === 401) this.#tell("locked");
          break;
        }
        this.#nothing(error.status ? error.message : "The network is away; the next stickers come when it is back.");
        await sleep(backoff(tries++, error));
      }
    }
    this.#asking = false;
  }

  /** The job here is answered: on to the next one at once, the answer is saved meanwhile. */
  submit(seconds) {
    const visit = this.here;
    this.reason = "";
    visit.revision += 1;
    visit.given = visit.said;
    const body = { ...visit.answer, revision: visit.revision, seconds };
    const entry = { job: visit.job.job_id, kind: "answer", title: visit.prompts[0], body };
    if (this.revisiting) {
      this.#place = null;
    } else {
      this.trail.push(visit);
      this.trail.slice(0, -BOARDS_KEPT).forEach((each) => each.release());
      this.now = this.queue.shift() ?? null;
    }
    this.outbox.add(entry);
  }

  skip(reason) {
    const visit = this.now;
    this.now = this.queue.shift() ?? null;
    this.outbox.add({ job: visit.job.job_id, kind: "skip", title: visit.prompts[0], body: { reason } });
    visit.release();
  }

  /** To the job before; false when there is none. Throws what `call` throws. */
  async back() {
    const place = this.#place ?? this.trail.length;
    if (place === 0 && !(await this.#earlier())) return false;
    this.#place = Math.max(0, place - 1);
    if (!this.here.strips) this.#load(this.here);
    return true;
  }

  forward() {
    if (this.#place === null) return false;
    this.#place = this.#place + 1 < this.trail.length ? this.#place + 1 : null;
    if (this.here && !this.here.strips) this.#load(this.here);
    return true;
  }

  toNow() {
    this.#place = null;
  }

  /** What is chosen so far survives a reload. */
  keepDraft(seconds) {
    if (!this.now || this.revisiting) return;
    const draft = { job: this.now.job.job_id, ...this.now.answer, seconds };
    try {
      localStorage.setItem(this.draftPlace, JSON.stringify(draft));
    } catch { /* a full storage: a reload then forgets some keys, an answer is kept elsewhere */ }
  }

  #take(job, reason) {
    if (!job || this.held.includes(job.job_id)) {
      this.#nothing(reason || (job ? "" : "There is nothing to do right now."));
      return false;
    }
    const visit = new Visit(job);
    const draft = JSON.parse(localStorage.getItem(this.draftPlace) ?? "null");
    if (draft?.job === job.job_id && !job.answer) {
      visit.restore(draft);
      visit.seconds = draft.seconds;
    }
    this.reason = "";
    if (this.now) this.queue.push(visit);
    else this.now = visit;
    this.#load(visit);
    this.#tell("change");
    return true;
  }

  #load(visit) {
    visit.load().then(() => this.#tell("ready", { visit }));
  }

  #nothing(reason) {
    this.reason = reason;
    if (!this.now) this.#timer = setTimeout(() => this.fill(), LOOK_AGAIN_MS);
    this.#tell("change");
  }

  #acknowledged({ answer }) {
    const fits = !this.rulings || answer.job?.votes;
    if (!this.queue.length && !this.#asking && fits) this.#take(answer.job, answer.reason);
    if (answer.job || this.rulings || this.#asking) this.fill();
  }

  #refused({ entry }) {
    const at = this.trail.findIndex((visit) => visit.job.job_id === entry.job);
    if (at >= 0 && this.#place !== at) {
      this.trail.splice(at, 1);
      if (this.#place !== null && this.#place > at) this.#place -= 1;
    }
    this.fill();
  }

  async #earlier() {
    const known = this.trail.map((visit) => visit.job.job_id);
    this.#older ??= (await call("api/history")).jobs.filter((id) => !known.includes(id) && !this.held.includes(id));
    if (!this.#older.length) return false;
    const job = await call(`api/jobs/${encodeURIComponent(this.#older[0])}`);
    this.#older.shift();
    this.trail.unshift(new Visit(job));
    if (this.#place !== null) this.#place += 1;
    return true;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Seconds that a job was really in front of a person: a hidden tab's do not count. */
export class Stopwatch {
  #before = 0;
  #since = null;

  constructor() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.hold() : this.go()));
  }

  restart(seconds = 0) {
    this.#before = seconds;
    this.#since = null;
    if (!document.hidden) this.go();
  }

  go() {
    this.#since ??= performance.now();
  }

  hold() {
    this.#before = this.read();
    this.#since = null;
  }

  read() {
    const running = this.#since === null ? 0 : (performance.now() - this.#since) / 1000;
    return Math.round((this.#before + running) * 1000) / 1000;
  }
}
