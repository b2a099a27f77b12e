// The lead's settings form: follows the server until somebody changes a field, then waits for Save or Reset.

const at = (id) => document.getElementById(id);
const ROLES = ["annotator", "expert", "lead"];
const NUMBERS = ["clips_per_job", "gold_rate", "lease_seconds", "audit_share"];

export class Settings {
  #saved = null;
  #dirty = false;

  /** `save(changes)` returns the settings as they are then, or null when they were refused. */
  constructor(save) {
    const form = at("settings");
    form.addEventListener("input", () => this.#mark(true));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const settings = await save(this.#read());
      if (!settings) return;
      this.#mark(false);
      this.show(settings);
    });
    at("settings-reset").addEventListener("click", () => {
      this.#mark(false);
      this.#fill();
    });
    at("round-more").addEventListener("click", () => {
      at("settings-rounds").append(this.#round({ role: "expert", people: 1, quorum: 1 }));
      this.#number();
      this.#mark(true);
    });
  }

  show(settings) {
    const same = JSON.stringify(settings) === JSON.stringify(this.#saved);
    this.#saved = settings;
    if (this.#dirty || same) return;
    this.#fill();
  }

  #mark(dirty) {
    this.#dirty = dirty;
    at("settings-save").disabled = at("settings-reset").disabled = !dirty;
    at("settings-state").textContent = dirty ? "changed, not saved" : "";
  }

  #fill() {
    const { rounds, ...others } = this.#saved;
    for (const [name, value] of Object.entries(others)) {
      const field = at("settings").elements[name];
      if (field) field.value = value;
    }
    at("settings-rounds").replaceChildren(...rounds.map((round) => this.#round(round)));
    this.#number();
  }

  #read() {
    const { elements } = at("settings");
    const rounds = [...at("settings-rounds").children].map((row) => ({
      role: row.querySelector("select").value,
      people: row.querySelector(".people").valueAsNumber,
      quorum: row.querySelector(".quorum").valueAsNumber,
    }));
    const numbers = Object.fromEntries(NUMBERS.map((name) => [name, elements[name].valueAsNumber]));
    return { rounds, ...numbers, policy: elements.policy.value, ordering: elements.ordering.value };
  }

  #round({ role, people, quorum }) {
    const row = document.createElement("div");
    const select = document.createElement("select");
    select.append(...ROLES.map((each) => new Option(each, each, false, each === role)));
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.addEventListener("click", () => {
      row.remove();
      this.#number();
      this.#mark(true);
    });
    row.className = "round";
    row.append(labelled("Asked", select), labelled("People", count("people", people)), labelled("Quorum", count("quorum", quorum)), remove);
    return row;
  }

  #number() {
    const rows = [...at("settings-rounds").children];
    rows.forEach((row, index) => {
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", `Round ${index + 1}`);
      row.querySelector("label").firstChild.textContent = `Round ${index + 1} asks`;
      const remove = row.querySelector("button");
      remove.setAttribute("aria-label", `Remove round ${index + 1}`);
      remove.disabled = rows.length === 1;
    });
  }
}

function labelled(text, field) {
  const label = document.createElement("label");
  label.append(text, field);
  return label;
}

function count(name, value) {
  const input = document.createElement("input");
  Object.assign(input, { type: "number", min: 1, max: 99, required: true, value, className: name });
  return input;
}
