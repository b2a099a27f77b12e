// The four small windows: zoom, flag, skip, keys. Each has keys of its own while it is open.

import { STICKER_KEYS } from "./keys.js";
import { Clip } from "./player.js";

const at = (id) => document.getElementById(id);
const open = () => document.querySelector("dialog[open]");

export class Dialogs {
  #player;
  #on;
  #place = 0;
  #visit = null;

  /** `on`: {pick(place), flag(place, what), skip(reason), closed()}. */
  constructor(player, on) {
    this.#player = player;
    this.#on = on;
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.querySelector(".close").addEventListener("click", () => dialog.close());
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
      dialog.addEventListener("close", () => this.#closed(dialog));
    }
    at("zoom-back").addEventListener("click", () => this.#turn(-1));
    at("zoom-on").addEventListener("click", () => this.#turn(1));
    at("zoom-pick").addEventListener("click", () => this.#pick());
    at("flag").addEventListener("click", ({ target }) => {
      const button = target.closest("[data-flag]");
      if (button) this.#flag(button.dataset.flag);
    });
    at("skip-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#skip(at("skip-reason").value.trim());
    });
  }

  get isOpen() {
    return Boolean(open());
  }

  close() {
    open()?.close();
  }

  zoom(visit, place) {
    if (!visit.strips[place]) return;
    this.#visit = visit;
    this.#place = place;
    const { frames, fps } = visit.clips[place];
    at("zoom-title").textContent = `Sticker ${STICKER_KEYS[place]?.toUpperCase() ?? place + 1}`;
    this.#player.zoom(new Clip(at("zoom-canvas"), visit.strips[place], frames, fps));
    this.updateZoom();
    if (!at("zoom").open) at("zoom").showModal();
  }

  updateZoom() {
    const clip = this.#visit?.clips[this.#place];
    if (clip) at("zoom-pick").setAttribute("aria-pressed", this.#visit.picks.has(clip.id));
  }

  flag(visit, place) {
    this.#place = place;
    at("flag-title").textContent = `Flag sticker ${STICKER_KEYS[place]?.toUpperCase() ?? place + 1}`;
    at("flag").showModal();
  }

  skip(reasons) {
    at("skip-reasons").replaceChildren(...reasons.map((reason, index) => this.#reason(reason, index)));
    at("skip-reason").value = "";
    at("skipping").showModal();
  }

  keys(count) {
    at("last-key").textContent = STICKER_KEYS[count - 1]?.toUpperCase() ?? "…";
    at("keys").showModal();
  }

  /** True when the open window understood the key. */
  press(key) {
    const number = STICKER_KEYS.indexOf(key);
    switch (open()?.id) {
      case "zoom":
        if (key === "z") return this.close(), true;
        if (key === "p") return this.#pick(), true;
        if (key === "arrowleft" || key === "arrowright") return this.#turn(key === "arrowleft" ? -1 : 1), true;
        if (number >= 0 && number < this.#visit.clips.length) return this.zoom(this.#visit, number), true;
        return false;
      case "flag":
        if (!["u", "b", "0"].includes(key)) return false;
        return this.#flag({ u: "unsafe", b: "broken", 0: "" }[key]), true;
      case "skipping": {
        const chosen = at("skip-reasons").children[number];
        chosen?.click();
        return Boolean(chosen);
      }
      default:
        return false;
    }
  }

  #turn(by) {
    const count = this.#visit.clips.length;
    this.zoom(this.#visit, (this.#place + by + count) % count);
  }

  #pick() {
    this.#on.pick(this.#place);
    this.updateZoom();
  }

  #flag(what) {
    at("flag").close();
    this.#on.flag(this.#place, what || null);
  }

  #reason(reason, index) {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    button.type = "button";
    key.textContent = index + 1;
    key.ariaHidden = "true";
    button.append(key, ` ${reason}`);
    button.addEventListener("click", () => this.#skip(reason));
    return button;
  }

  #skip(reason) {
    if (!reason) return at("skip-reason").focus();
    at("skipping").close();
    this.#on.skip(reason);
  }

  #closed(dialog) {
    if (dialog.id === "zoom") {
      this.#player.zoom(null);
      this.#visit = null;
    }
    this.#on.closed();
  }
}
