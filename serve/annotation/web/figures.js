// The summary's numbers as tables and bars. Rows stay the same elements over refreshes, so a focus in them is kept.

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const NONE = "–";

const number = (value, digits = 0) => (value === null ? NONE : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const percent = (value, digits = 0) => (value === null ? NONE : `${number(100 * value, digits)} %`);
const between = (interval, say) => (interval ? `${say(interval[0])} to ${say(interval[1])}` : NONE);

/** One row an item: `cells` gives text or {text, class}; `finish` adds what is no text. */
function fill(table, items, key, cells, finish = () => {}) {
  const body = at(table).tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const name = key(item);
    const row = rows.get(name) ?? document.createElement("tr");
    rows.delete(name);
    row.dataset.key = name;
    cells(item).forEach((cell, column) => write(row, column, cell));
    finish(row, item);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  for (const row of rows.values()) row.remove();
}

function write(row, column, cell) {
  const { text, class: name = "" } = typeof cell === "string" ? { text: cell } : cell;
  const place = row.cells[column] ?? row.appendChild(document.createElement(column ? "td" : "th"));
  if (!column) place.scope = "row";
  if (text !== undefined && place.textContent !== text) place.textContent = text;
  place.className = name;
}

const num = (text) => ({ text, class: "num" });

// -- rounds ---------------------------------------------------------------------------------------

export function showRounds(rounds) {
  const place = at("rounds");
  while (place.children.length > rounds.length) place.lastChild.remove();
  rounds.forEach((round, index) => {
    const tile = place.children[index] ?? place.appendChild(makeTile());
    const [title, big, bar, asked, became] = tile.children;
    title.textContent = `Round ${round.round}: ${round.people} ${round.role}${round.people > 1 ? "s" : ""}, ${round.quorum} must agree`;
    big.textContent = `${number(round.finished)} of ${number(round.jobs)} jobs`;
    bar.max = round.wanted || 1;
    bar.value = round.answers;
    bar.ariaLabel = `Answers of round ${round.round}`;
    const pace = round.per_hour === null ? "no pace yet" : `${number(round.per_hour)} an hour`;
    asked.textContent = `${number(round.answers)} of ${number(round.wanted)} answers · ${pace} · ${timeLeft(round)}`;
    became.textContent = `${number(round.survived)} of ${number(round.judged)} judged clips survived · ${number(round.disputed)} disputed`;
  });
}

function makeTile() {
  const tile = document.createElement("div");
  tile.className = "panel tile";
  const parts = [["h3", ""], ["p", "big"], ["progress", ""], ["p", "soft"], ["p", "soft"]];
  for (const [tag, name] of parts) tile.appendChild(document.createElement(tag)).className = name;
  return tile;
}

function timeLeft({ left_hours: hours, finished, jobs }) {
  if (jobs && finished >= jobs) return "finished";
  if (hours === null) return "time left unknown";
  if (hours < 1) return `${Math.max(1, Math.round(hours * 60))} min left`;
  return hours < 48 ? `${Math.floor(hours)} h ${Math.round((hours % 1) * 60)} min left` : `${number(hours / 24, 1)} days left`;
}

// -- tables ---------------------------------------------------------------------------------------

export function showAgreement(rows) {
  fill("agreement", rows, (row) => String(row.round), (row) => [
    `Round ${row.round}`, num(number(row.clips)), num(percent(row.percent)), num(number(row.alpha, 2)), num(number(row.kappa, 2)), num(number(row.ac1, 2)),
  ]);
}

/** `change(what, person)`: "link", "active", "votes" or "release". */
export function showPeople(people, change) {
  fill("people", people, (person) => person.name, personCells, (row, person) => {
    row.classList.toggle("off", !person.active || person.retired);
    showName(row.cells[0], person);
    showActions(row, person, change);
  });
}

function personCells(person) {
  const { gold, low_motion_bias: bias, low_motion_interval: interval } = person;
  const biased = interval && interval[0] > 0;
  const signed = (value) => (value > 0 ? "+" : "") + number(value, 2);
  const said = bias === null ? NONE : interval ? `${signed(bias)} (${between(interval, signed)})` : signed(bias);
  const poor = gold.of >= 10 && gold.right / gold.of < 0.7;
  return [
    {}, num(number(person.answers)), num(number(person.holds)), num(number(person.median_seconds, 1)), num(percent(person.pick_rate)),
    { text: gold.of ? `${gold.right} of ${gold.of}` : NONE, class: poor ? "num beware" : "num" },
    num(percent(person.with_majority)), { text: said, class: biased ? "beware" : "" }, seen(person.last_seen), {},
  ];
}

function showName(cell, person) {
  const box = cell.firstElementChild ?? cell.appendChild(document.createElement("span"));
  const notes = [person.role];
  if (person.simulated) notes.push("simulated");
  if (!person.active) notes.push("inactive");
  if (person.retired) notes.push("votes retired");
  box.className = "name";
  box.textContent = person.name;
  box.appendChild(document.createElement("small")).textContent = notes.join(" · ");
}

function showActions(row, person, change) {
  const cell = row.cells[row.cells.length - 1];
  row.person = person;
  if (!cell.firstElementChild) {
    const box = cell.appendChild(document.createElement("div"));
    box.className = "row";
    for (const what of ["link", "active", "votes", "release"]) {
      const button = box.appendChild(document.createElement("button"));
      button.type = "button";
      button.addEventListener("click", () => change(what, row.person));
    }
  }
  const [link, active, votes, release] = cell.querySelectorAll("button");
  name(link, "New link", person);
  name(active, person.active ? "Deactivate" : "Activate", person);
  name(votes, person.retired ? "Restore votes" : "Retire votes", person);
  name(release, "Release jobs", person);
  release.disabled = !person.holds;
}

function name(button, text, person) {
  button.textContent = text;
  button.setAttribute("aria-label", `${text}: ${person.name}`);
}

function seen(iso) {
  if (!iso) return "never";
  const minutes = Math.round((Date.now() - Date.parse(iso)) / 60_000);
  if (minutes < 2) return "just now";
  return minutes < 120 ? `${minutes} min ago` : new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

export function showRates(rates) {
  const top = Math.min(1, Math.max(0.05, ...rates.map((row) => row.high)) * 1.05);
  at("rates-axis").textContent = `Rate and interval, 0 to ${percent(top)}`;
  fill("rates", rates, (row) => JSON.stringify([row.teacher, row.bucket]), (row) => [
    row.teacher, row.bucket, num(number(row.judged)), num(number(row.kept)), num(percent(row.rate, 1)),
    num(between([row.low, row.high], (value) => percent(value, 1))), { class: "plot" },
  ], (row, rate) => row.cells[6].replaceChildren(drawBar(rate, top)));
}

/** The rate as a bar and its interval as a whisker; the cells beside it say the same in numbers. */
function drawBar({ rate, low, high }, top) {
  const svg = draw("svg", { class: "bar", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  const x = (value) => (100 * value) / top;
  svg.append(
    draw("line", { class: "axis", x1: 0, x2: 100, y1: 19, y2: 19 }),
    draw("rect", { x: 0, y: 3, width: x(rate), height: 14, rx: 0.6 }),
    draw("line", { x1: x(low), x2: x(high), y1: 10, y2: 10 }),
    draw("line", { x1: x(low), x2: x(low), y1: 6, y2: 14 }),
    draw("line", { x1: x(high), x2: x(high), y1: 6, y2: 14 }),
  );
  return svg;
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

export function showHelp(rulings, help) {
  at("rulings").textContent = `${number(rulings.open)} to decide, ${number(rulings.decided)} decided.`;
  at("help").textContent = help ? helpSentence(help) : "The model that orders the queue has not learnt yet.";
}

function helpSentence({ ordering, trained_on: trained, auc, audit }) {
  const order = ordering === "model" ? "Likely keepers come first" : "The queue is in its own order";
  const learnt = `the model learnt from ${number(trained)} votes (AUC ${number(auc, 2)})`;
  const missed = audit.missed_share === null
    ? "not enough yet to say what is missed"
    : `${percent(audit.missed_share, 1)} of keepers would be missed (${between(audit.interval, (value) => percent(value, 1))})`;
  return `${order}; ${learnt}. Random audit: ${number(audit.kept)} of ${number(audit.judged)} kept; ${missed}.`;
}

export function showLog(events) {
  const body = at("log").tBodies[0];
  at("no-events").hidden = events.length > 0;
  const key = JSON.stringify(events[0] ?? null) + events.length;
  if (body.dataset.key === key) return;
  body.dataset.key = key;
  body.replaceChildren(...events.map(({ at: when, who, what, detail }) => {
    const row = document.createElement("tr");
    const said = detail === null || typeof detail === "object" ? JSON.stringify(detail) : String(detail);
    [new Date(when).toLocaleString(), who, what, { text: said, class: "wide" }].forEach((cell, column) => write(row, column, cell));
    return row;
  }));
}
