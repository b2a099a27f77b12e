// The page where a person says which stickers they would share: keys and buttons in, answers out.

import { beSignedIn, call } from "./api.js";
import { fitInto, makeBoard, showCriteria, showPrompts, update } from "./board.js";
import { Desk, Stopwatch } from "./desk.js";
import { Dialogs } from "./dialogs.js";
import { openDoor, takeLink } from "./door.js";
import { activates, keyOf, STICKER_KEYS, writes } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Player } from "./player.js";
import { rememberGround, showGround, showPlaying, showSaved } from "./status.js";

const at = (id) => document.getElementById(id);
const rulings = new URLSearchParams(location.search).has("rulings");
const player = new Player();
const watch = new Stopwatch();
const dialogs = new Dialogs(player, { pick, flag, skip, closed: toBoard });
let me = null;
let desk = null;
let outbox = null;
let shown = null; // the visit on the page
let asks = null; // a key that waits for a sticker's: "flag" or "zoom"
let sure = false; // Enter was pressed with nothing picked; once more means none
let link = null; // what a sign-in link carried, until it is used
let leaving = false;
let saying = null;
let awaited = null; // when the key was pressed that waits for a job which is not there yet

// -- who is it ------------------------------------------------------------------------------------

async function open() {
  link ??= takeLink();
  try {
    const who = link ? await call("api/sign-in", link) : await call("api/me");
    const fresh = Boolean(link);
    link = null;
    await enter(who, fresh);
  } catch (error) {
    if (error.status === 401 && !link) return door(me ? "You are signed out by now." : "");
    if (error.status && !error.passes) {
      link = null;
      return door(error.message);
    }
    at("door").hidden = true;
    at("opening").hidden = !at("desk").hidden;
    at("opening").textContent = `${error.message}; trying again…`;
    setTimeout(open, 3000);
  }
}

function door(why) {
  at("opening").hidden = true;
  at("desk").hidden = true;
  dialogs.close();
  watch.hold();
  openDoor(why, me?.name, enter);
}

/** Somebody signed in; the same person finds everything as it was. */
async function enter(who, incomplete = true) {
  const same = me?.name === who.name;
  beSignedIn(who);
  me = incomplete ? await call("api/me") : who;
  beSignedIn(me);
  if (desk && !same) return startAgain(); // nothing of one person's is shown to another
  at("opening").hidden = at("door").hidden = true;
  at("desk").hidden = false;
  at("person").hidden = false;
  at("name").textContent = me.name;
  at("to-lead").hidden = me.role !== "lead";
  at("to-jobs").hidden = !rulings;
  if (rulings) at("title").textContent = "Decide what others disagree about";
  showCriteria(at("criteria-list"), me.criteria);
  showAnswered();
  if (desk) {
    watch.go();
    outbox.unlock();
    desk.fill();
    toBoard();
  } else {
    begin();
  }
}

function startAgain() {
  leaving = true; // what is unsaved stays in this browser for whose it is: no second question
  location.reload();
}

function begin() {
  outbox = new Outbox(me.name, (entry) => {
    const path = `api/jobs/${encodeURIComponent(entry.job)}/${entry.kind}`;
    return call(path, { ...entry.body, have: desk.held.filter((id) => id !== entry.job) });
  });
  desk = new Desk(me.name, outbox, { rulings });
  outbox.addEventListener("change", () => {
    showSaved(outbox);
    if (!shown && desk) render();
  });
  outbox.addEventListener("acknowledged", ({ detail: { entry } }) => {
    if (entry.kind === "answer" && entry.body.revision === 0) me.answered += 1;
    showAnswered();
  });
  outbox.addEventListener("refused", ({ detail: { entry, error } }) => {
    complain(`Not saved, for the prompt “${shorten(entry.title)}”: ${error.message}`);
  });
  for (const events of [outbox, desk]) events.addEventListener("locked", () => door("You are signed out by now."));
  desk.addEventListener("ready", ({ detail: { visit } }) => {
    if (!visit.board && visit.strips) makeBoard(visit, { pick, flag: askFlag, zoom });
    if (visit === desk.here && visit !== shown) show(awaited);
    else render();
  });
  desk.addEventListener("change", () => shown || render());
  showSaved(outbox);
  outbox.start();
  desk.fill();
  show(null);
}

// -- what is shown --------------------------------------------------------------------------------

/** Put the job that is here on the page; `pressed` is when the key was that led to it. */
function show(pressed) {
  const visit = desk.here;
  const before = shown;
  asks = null;
  sure = false;
  dialogs.close();
  shown = visit?.board ? visit : null;
  awaited = shown ? null : pressed;
  if (shown) {
    at("board").replaceChildren(shown.board.list);
    player.show(shown.board.clips);
    watch.restart(shown.seconds);
    shown.seconds = 0;
  } else {
    player.show([]);
    watch.restart();
  }
  render();
  if (shown !== before) toBoard();
  if (shown && pressed !== null) measure(pressed, shown.job.job_id);
}

/** From the key press to the painted job, for whoever measures: a performance entry and an event named next-job. */
function measure(pressed, job) {
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel(); // its message comes after the frame is painted
    port1.onmessage = () => {
      const { duration } = performance.measure("next-job", { start: pressed, end: performance.now(), detail: job });
      dispatchEvent(new CustomEvent("next-job", { detail: { job, milliseconds: duration } }));
    };
    port2.postMessage(null);
  });
}

function render() {
  const visit = shown;
  at("desk").classList.toggle("empty", !visit);
  at("desk").dataset.ready = desk.queue.filter((each) => each.board).length; // for whoever tests or measures
  if (visit) update(visit);
  else at("board").replaceChildren(emptiness());
  if (at("prompts").dataset.job !== (visit?.job.job_id ?? "")) {
    at("prompts").dataset.job = visit?.job.job_id ?? "";
    showPrompts(at("prompts"), visit);
  }
  const count = visit?.picks.size ?? 0;
  at("board").setAttribute("aria-label", visit ? `Stickers for: ${shorten(visit.prompts.join("; "))}` : "Stickers");
  at("submit-text").textContent = count ? `Submit ${count} ${count === 1 ? "sticker" : "stickers"}` : "Submit";
  at("submit").disabled = at("none").disabled = !visit;
  at("undo").disabled = !visit && !desk.trail.length;
  at("skip").disabled = !visit || desk.revisiting;
  at("skip").hidden = desk.revisiting;
  at("forward").hidden = at("revisit").hidden = !desk.revisiting;
}

function emptiness() {
  const box = document.createElement("div");
  const text = document.createElement("p");
  const button = document.createElement("button");
  const away = outbox.trouble && outbox.trouble.status !== 401;
  const loading = Boolean(desk.here) || !(desk.reason || away);
  box.className = "panel nothing";
  box.classList.toggle("loading", loading);
  text.textContent = loading ? "Fetching stickers…" : desk.reason;
  if (away) text.textContent = "The next stickers come when your answers are saved.";
  button.type = "button";
  button.textContent = "Look again";
  button.hidden = loading;
  button.addEventListener("click", () => {
    outbox.now();
    desk.fill();
  });
  box.append(text, button);
  return box;
}

function showAnswered() {
  at("answered").textContent = `${me.answered} answered`;
}

function say(sentence) {
  at("said").textContent = sentence;
  clearTimeout(saying);
  saying = setTimeout(() => asks || say(""), 6000); // it must not cover a sticker for long on a phone
}

function complain(sentence) {
  at("trouble-text").textContent = sentence;
  at("trouble").hidden = !sentence;
}

/** The keyboard commands again, and a screen reader says which job this is. */
function toBoard() {
  if (!at("desk").hidden) at("board").focus({ preventScroll: true });
}

const shorten = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

// -- what a person does ---------------------------------------------------------------------------

function pick(place) {
  const clip = shown?.clips[place];
  if (!clip) return;
  const wrong = shown.flags[clip.id];
  if (wrong) return say(`Sticker ${place + 1} is flagged as ${wrong}. Take the flag away to pick it.`);
  shown.toggle(clip.id);
  changed("");
}

function flag(place, what) {
  const clip = shown?.clips[place];
  if (!clip || (shown.flags[clip.id] ?? null) === what) return;
  shown.flag(clip.id, what);
  changed(what ? `Sticker ${place + 1} is flagged as ${what}.` : `Sticker ${place + 1} is not flagged any more.`);
}

function changed(sentence) {
  sure = false;
  render();
  say(sentence);
  desk.keepDraft(watch.read());
}

function submit(event) {
  if (!shown) return;
  if (shown.picks.size || sure || (desk.revisiting && !shown.changed)) return leave(event);
  sure = true;
  say("Nothing is picked. Enter again, or N, if you wouldn’t share any of these.");
}

function none(event) {
  if (!shown) return;
  for (const id of [...shown.picks]) shown.toggle(id);
  leave(event);
}

function leave(event) {
  const unchanged = desk.revisiting && !shown.changed;
  const { size } = shown.picks;
  if (unchanged) desk.toNow();
  else desk.submit(watch.read());
  show(event.timeStamp);
  say(unchanged ? "Nothing changed." : size ? "" : "You would share none of those. U takes it back.");
}

function undo(event) {
  if (shown?.undo()) return changed("");
  back(event);
}

async function back(event) {
  try {
    if (!(await desk.back())) return say("There is no job before this one.");
  } catch (error) {
    if (error.status === 401) return door("You are signed out by now.");
    return say(`The job before cannot be fetched: ${error.message}.`);
  }
  show(null);
}

function forward() {
  if (desk.forward()) show(null);
}

function askSkip() {
  if (shown && !desk.revisiting) dialogs.skip(me.skip_reasons);
}

function skip(reason) {
  if (!shown || desk.revisiting) return;
  desk.skip(reason);
  show(performance.now());
  say("Skipped.");
}

function zoom(place) {
  if (shown?.clips[place]) dialogs.zoom(shown, place);
}

function askFlag(place) {
  if (shown?.clips[place]) dialogs.flag(shown, place);
}

function askWhich(what) {
  if (!shown) return;
  asks = what;
  const last = STICKER_KEYS[shown.clips.length - 1].toUpperCase();
  say(`${what === "flag" ? "Flag" : "Zoom"} which sticker? 1 to ${last}; Escape for none.`);
}

function showKeys() {
  dialogs.keys(shown?.clips.length);
}

const COMMANDS = {
  enter: submit,
  n: none,
  u: undo,
  b: back,
  backspace: back,
  arrowleft: back,
  arrowright: forward,
  s: askSkip,
  f: () => askWhich("flag"),
  z: () => askWhich("zoom"),
  g: () => rememberGround(1),
  "?": showKeys,
};
const PLAYING = {
  " ": () => player.toggle(),
  ",": () => player.step(-1),
  ".": () => player.step(1),
  "[": () => player.faster(-1),
  "]": () => player.faster(1),
};

function press(event) {
  if (at("desk").hidden || event.isComposing) return;
  const key = keyOf(event);
  const control = event.ctrlKey || event.metaKey;
  if (control && key === "z" && !writes(event.target) && !dialogs.isOpen) {
    event.preventDefault();
    return undo(event);
  }
  if (event.altKey || (control && key !== "enter") || writes(event.target)) return;
  if (activates(event.target, key) && !control) return;
  if (act(key, event)) event.preventDefault();
}

/** True when the key meant something here. A key held down repeats single frames and nothing else. */
function act(key, event) {
  if (event.repeat && key !== "," && key !== ".") return Boolean(COMMANDS[key] ?? PLAYING[key]);
  if (dialogs.isOpen && dialogs.press(key)) return true;
  if (PLAYING[key]) return PLAYING[key](), true;
  if (dialogs.isOpen) return false;
  const place = STICKER_KEYS.indexOf(key);
  const asked = asks;
  if (asked) say("");
  asks = null;
  if (place >= 0 && place < (shown?.clips.length ?? 0)) {
    ({ flag: askFlag, zoom })[asked]?.(place);
    if (!asked) pick(place);
    return true;
  }
  if (key === "escape") return false;
  COMMANDS[key]?.(event);
  return Boolean(COMMANDS[key]);
}

// -- wiring ---------------------------------------------------------------------------------------

const clicks = { submit, none, undo, back, forward, skip: askSkip, "show-keys": showKeys };
for (const [id, does] of Object.entries(clicks)) at(id).addEventListener("click", does);
at("play").addEventListener("click", () => player.toggle());
at("frame-back").addEventListener("click", () => player.step(-1));
at("frame-on").addEventListener("click", () => player.step(1));
at("trouble-seen").addEventListener("click", () => complain(""));
for (const each of document.querySelectorAll("[data-speed]")) {
  each.addEventListener("click", () => player.setSpeed(Number(each.dataset.speed)));
}
at("desk").addEventListener("click", (event) => {
  // after a mouse or finger, keys command the board again; who came by keyboard stays where they are
  if (event.detail > 0 && event.target.closest("button") && !dialogs.isOpen) toBoard();
});
at("sign-out").addEventListener("click", async () => {
  const left = outbox.entries.length;
  if (left && !confirm(`${left} not saved yet. They stay in this browser until you sign in again. Sign out?`)) return;
  try {
    await call("api/sign-out", {});
  } catch (error) {
    if (error.status !== 401) return complain(`You are still signed in: ${error.message}.`);
  }
  startAgain();
});
addEventListener("beforeunload", (event) => {
  if (outbox?.entries.length && !leaving) event.preventDefault();
});
addEventListener("hashchange", () => takeLink(false) && open()); // another link in the same tab
document.addEventListener("keydown", press);
player.addEventListener("change", () => showPlaying(player));
if (matchMedia("(max-width: 47.5rem)").matches) at("criteria").open = false;
fitInto(at("board"));
showPlaying(player);
showGround();
open();
