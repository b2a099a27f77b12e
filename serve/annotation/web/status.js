// What the page says about itself: saved or not, playing or not, on which background.

const at = (id) => document.getElementById(id);
const GROUND = "stickers.ground";
const SLOW_MS = 600; // saving is mentioned when it takes this long
let slow = null;

/** Saved, saving or unsaved, in plain words; read aloud only when it becomes another of the three. */
export function showSaved(outbox) {
  const count = outbox.entries.length;
  at("saved").dataset.waiting = count; // for whoever tests or measures
  clearTimeout(slow);
  if (!count) return tell("saved", "All saved");
  const answers = count === 1 ? "1 answer" : `${count} answers`;
  if (!outbox.trouble) {
    slow = setTimeout(() => tell("saving", "Saving…"), SLOW_MS);
    return outbox.kept ? undefined : tell("unsaved", `${answers} unsaved: keep this page open, the browser’s storage is full`);
  }
  const { status, message } = outbox.trouble;
  const keeps = outbox.kept ? "kept in this browser" : "keep this page open, the browser’s storage is full";
  const why = status === 401 ? "you are signed out" : status ? message.replace(/\.$/, "") : message;
  return tell("unsaved", `${answers} unsaved: ${why}; ${keeps}`);
}

function tell(state, sentence) {
  const element = at("saved");
  element.dataset.state = state;
  if (element.textContent !== sentence) element.textContent = sentence;
}

export function showPlaying(player) {
  at("play").textContent = player.playing ? "Pause" : "Play";
  at("play").classList.toggle("go", !player.playing);
  for (const each of document.querySelectorAll("[data-speed]")) {
    each.setAttribute("aria-pressed", Number(each.dataset.speed) === player.speed);
  }
}

const choices = [...document.querySelectorAll("[data-ground-choice]")];

export function showGround() {
  const names = choices.map((each) => each.dataset.groundChoice);
  const kept = localStorage.getItem(GROUND);
  const name = names.includes(kept) ? kept : names[0];
  for (const id of ["board", "zoom", "ground-next"]) at(id).dataset.ground = name;
  at("ground-next").addEventListener("click", () => rememberGround(1));
for (const each of choices) each.setAttribute("aria-pressed", each.dataset.groundChoice === name);
}

/** Change to the background `by` places on. */
export function rememberGround(by) {
  const names = choices.map((each) => each.dataset.groundChoice);
  choose(names[(names.indexOf(at("board").dataset.ground) + by) % names.length]);
}

function choose(name) {
  localStorage.setItem(GROUND, name);
  showGround();
}

at("ground-next").addEventListener("click", () => rememberGround(1));
for (const each of choices) each.addEventListener("click", () => choose(each.dataset.groundChoice));
