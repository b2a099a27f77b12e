// The lead's page: how far the work is, how well people agree, and everything a lead may change.
//
// It refreshes itself and never touches what is being edited: the settings once they are changed, an open window, a focus.

import { beSignedIn, call } from "./api.js";
import { showFlags } from "./flags.js";
import { showAgreement, showHelp, showLog, showPeople, showRates, showRounds } from "./figures.js";
import { Settings } from "./settings.js";

const at = (id) => document.getElementById(id);
const EVERY_MS = 10_000;
let paused = false;
let retiring = null; // {name, retired}: what the open window is about

const settings = new Settings((changes) => attempt(() => call("api/lead/settings", changes), "The settings are saved."));

async function open() {
  try {
    const me = await call("api/me");
    beSignedIn(me);
    if (me.role !== "lead") return refuse(`This page is for leads; you are signed in as ${me.name}, ${me.role}.`);
  } catch (error) {
    if (error.status === 401) return refuse("Sign in as a lead to see this page.");
    complain(error.message);
    setTimeout(open, EVERY_MS);
    return;
  }
  at("all").hidden = false;
  at("pause").hidden = false;
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function refuse(sentence) {
  const link = document.createElement("a");
  link.href = "./";
  link.textContent = "To the front page";
  at("refused").replaceChildren(`${sentence} `, link);
  at("refused").hidden = false;
}

async function refresh() {
  try {
    const [summary, log] = await Promise.all([call("api/lead/summary"), call("api/lead/log?limit=100")]);
    show(summary);
    showLog(log.events);
    at("fresh").textContent = `as of ${new Date().toLocaleTimeString()}`;
  } catch (error) {
    at("fresh").textContent = `not refreshed: ${error.message}`;
  }
}

function show(summary) {
  paused = summary.paused;
  at("simulated").hidden = !summary.simulated;
  at("paused-chip").hidden = !paused;
  at("pause").textContent = paused ? "Resume the work" : "Pause the work";
  showRounds(summary.rounds);
  showAgreement(summary.agreement);
  showPeople(summary.people, changePerson);
  showRates(summary.keep_rates);
  showFlags(summary.flags);
  showHelp(summary.rulings, summary.help);
  settings.show(summary.settings);
}

/** Do it, say so, show what became of it; what went wrong is told in the server's sentence. Returns null then. */
async function attempt(work, said) {
  complain("");
  try {
    const answer = await work();
    at("done").textContent = said;
    await refresh();
    return answer;
  } catch (error) {
    complain(error.status === 401 ? "You are signed out by now: sign in on the front page." : error.message);
    return null;
  }
}

function complain(sentence) {
  at("trouble-text").textContent = sentence;
  at("trouble").hidden = !sentence;
}

// -- people ---------------------------------------------------------------------------------------

function changePerson(what, person) {
  const path = `api/lead/people/${encodeURIComponent(person.name)}`;
  if (what === "active") {
    const sentence = `${person.name} is ${person.active ? "inactive" : "active"} now.`;
    return attempt(() => call(`${path}/active`, { active: !person.active }), sentence);
  }
  if (what === "release") {
    return attempt(() => call(`${path}/release`, {}), `The jobs of ${person.name} are back in the queue.`);
  }
  if (what === "link") {
    if (!confirm(`Make a new sign-in link for ${person.name}? The one they have stops working.`)) return undefined;
    return attempt(() => call(`${path}/link`, {}), "There is a new link.").then((answer) => answer && showLink(answer));
  }
  return askRetire(person);
}

function askRetire({ name, retired }) {
  retiring = { name, retired: !retired };
  at("retire-title").textContent = retired ? `Restore the votes of ${name}` : `Retire the votes of ${name}`;
  at("retire-text").textContent = retired
    ? "Their votes count again, all of them."
    : "Their votes stop counting, and others are asked in their place. Nothing is deleted: you can restore them.";
  at("retire-do").textContent = retired ? "Restore their votes" : "Retire their votes";
  at("retire-reason").value = "";
  at("retire").showModal();
}

at("retire-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, retired } = retiring;
  const reason = at("retire-reason").value.trim();
  at("retire").close();
  const path = `api/lead/people/${encodeURIComponent(name)}/votes`;
  await attempt(() => call(path, { retired, reason }), `The votes of ${name} are ${retired ? "retired" : "restored"}.`);
});

at("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const { name, role, password } = Object.fromEntries(new FormData(form));
  const person = { name: name.trim(), role, password: password || null };
  const answer = await attempt(() => call("api/lead/people", person), `${person.name} is added.`);
  if (!answer) return;
  form.reset();
  showLink(answer);
});

function showLink({ name, link }) {
  at("link-title").textContent = `Sign-in link for ${name}`;
  at("link-text").value = link;
  at("link-copied").textContent = "";
  at("link").showModal();
}

at("link").addEventListener("close", () => {
  at("link-text").value = ""; // shown once
});
at("link-copy").addEventListener("click", async () => {
  at("link-text").select();
  try {
    await navigator.clipboard.writeText(at("link-text").value);
    at("link-copied").textContent = "Copied.";
  } catch {
    at("link-copied").textContent = "This browser does not let the page copy: it is selected, press Ctrl+C.";
  }
});

// -- the rest -------------------------------------------------------------------------------------

at("pause").addEventListener("click", () => {
  attempt(() => call("api/lead/paused", { paused: !paused }), paused ? "The work goes on." : "The work is paused.");
});
at("trouble-seen").addEventListener("click", () => complain(""));
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
}
document.addEventListener("visibilitychange", () => !document.hidden && !at("all").hidden && refresh());
open();
