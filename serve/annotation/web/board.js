// A job as elements: cards with canvases, prompts, and a grid in which all of them are as large as fits.

import { STICKER_KEYS } from "./keys.js";
import { Clip } from "./player.js";

const template = document.getElementById("card");
const NARROW = matchMedia("(max-width: 47.5rem)");
const GAP = 12;
const LONG_PROMPT = 140; // characters beyond which a prompt is shortened until asked for

/** Elements for a visit whose strips are decoded; nothing is on the page yet. `on`: {pick, flag, zoom}, each with a place. */
export function makeBoard(visit, on) {
  const list = document.createElement("ol");
  const several = visit.prompts.length > 1;
  list.className = "board";
  list.classList.toggle("captioned", several);
  list.classList.toggle("tallied", Boolean(visit.job.votes));
  const cards = visit.clips.map((clip, place) => makeCard(visit, clip, place, on));
  cards.forEach(({ element, caption }, place) => {
    caption.hidden = !several;
    caption.textContent = several ? visit.clips[place].prompt : "";
    list.append(element);
  });
  visit.board = { list, cards, clips: cards.map((card) => card.clip) };
  for (const { clip } of cards) clip.draw(0); // uploads the pictures before anybody waits for them
  update(visit);
}

function makeCard(visit, clip, place, on) {
  const element = template.content.firstElementChild.cloneNode(true);
  const at = (selector) => element.querySelector(selector);
  const strip = visit.strips[place];
  at(".key").textContent = STICKER_KEYS[place]?.toUpperCase() ?? "";
  at(".lost").hidden = strip !== null;
  at(".zoom").setAttribute("aria-label", `Zoom sticker ${place + 1}`);
  at(".pick").addEventListener("click", () => on.pick(place));
  at(".pick").addEventListener("dblclick", () => on.zoom(place));
  at(".zoom").addEventListener("click", () => on.zoom(place));
  at(".flag").addEventListener("click", () => on.flag(place));
  const votes = visit.job.votes?.[clip.id];
  at(".tally").hidden = !votes;
  if (votes) {
    const flags = votes.flags.length ? ` · ${votes.flags.join(", ")}` : "";
    at(".tally").textContent = `${votes.yes} would share, ${votes.no} would not${flags}`;
  }
  const canvas = at("canvas");
  canvas.dataset.clip = clip.id;
  return {
    element,
    pick: at(".pick"),
    flag: at(".flag"),
    mark: at(".mark"),
    caption: at(".caption"),
    clip: new Clip(canvas, strip, clip.frames, clip.fps),
  };
}

/** Show what is picked and flagged now. */
export function update(visit) {
  visit.board.cards.forEach(({ element, pick, flag, mark }, place) => {
    const { id } = visit.clips[place];
    const picked = visit.picks.has(id);
    const wrong = visit.flags[id] ?? "";
    pick.setAttribute("aria-pressed", picked);
    const state = wrong ? `, flagged as ${wrong}` : picked ? ", picked" : "";
    pick.setAttribute("aria-label", `Sticker ${place + 1}${state}`);
    flag.setAttribute("aria-label", `Flag sticker ${place + 1}${wrong ? ` (now ${wrong})` : ""}`);
    element.classList.toggle("picked", picked);
    element.classList.toggle("flagged", Boolean(wrong));
    mark.textContent = wrong;
  });
}

/** The prompts beside the board, each with the stickers it asked for. They are other people's text, never markup. */
export function showPrompts(place, visit) {
  place.replaceChildren(...(visit?.prompts ?? []).map((prompt, index) => promptOf(visit, prompt, index)));
}

export function showCriteria(place, criteria) {
  const parts = criteria.flatMap(({ name, text }) => {
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    meaning.textContent = text;
    return [term, meaning];
  });
  place.replaceChildren(...parts);
}

function promptOf(visit, prompt, index) {
  const item = document.createElement("div");
  item.className = "prompt";
  const text = document.createElement("p");
  text.dir = "auto";
  text.textContent = prompt;
  if (visit.prompts.length > 1) {
    const where = visit.clips.flatMap((clip, at) => (clip.prompt === prompt ? [STICKER_KEYS[at].toUpperCase()] : []));
    const head = document.createElement("h3");
    head.textContent = where.length > 1 ? `Stickers ${where.join(", ")}` : `Sticker ${where}`;
    item.append(head);
  }
  item.append(text);
  if (prompt.length > LONG_PROMPT) item.append(expander(text, index));
  return item;
}

function expander(text, index) {
  const button = document.createElement("button");
  text.classList.add("long");
  text.id = `prompt-${index}`;
  button.type = "button";
  button.className = "more";
  button.setAttribute("aria-controls", text.id);
  const open = (is) => {
    text.classList.toggle("open", is);
    if (is) text.tabIndex = 0; // it scrolls, so keys must reach it
    else text.removeAttribute("tabindex");
    button.setAttribute("aria-expanded", is);
    button.textContent = is ? "Show less" : "Show all";
  };
  button.addEventListener("click", () => open(!text.classList.contains("open")));
  open(false);
  return button;
}

/** Keep all cards as large as the holder lets them be. On narrow screens they stand in two columns and the page scrolls. */
export function fitInto(holder) {
  const fit = () => {
    const list = holder.querySelector(".board");
    const count = list?.children.length;
    if (!count) return;
    if (NARROW.matches) {
      holder.style.removeProperty("--tile");
      return;
    }
    const below = (list.classList.contains("captioned") ? 44 : 0) + (list.classList.contains("tallied") ? 26 : 0);
    const sizes = Array.from({ length: count }, (_, at) => tile(holder, count, at + 1, below));
    const side = Math.max(96, ...sizes);
    holder.style.setProperty("--tile", `${side}px`);
    holder.style.setProperty("--columns", sizes.indexOf(Math.max(...sizes)) + 1);
  };
  new ResizeObserver(fit).observe(holder);
  new MutationObserver(fit).observe(holder, { childList: true });
}

function tile(holder, count, columns, below) {
  const rows = Math.ceil(count / columns);
  const wide = (holder.clientWidth - 8 - GAP * (columns - 1)) / columns;
  const high = (holder.clientHeight - 8 - GAP * (rows - 1)) / rows - below;
  return Math.floor(Math.min(wide, high));
}
