// The list of tasks: filters, pages, the chosen task.

const PAGE_LENGTH = 100;
const ANY = "";
const LABEL = "label."; // of a label's filter, in the address

const chosen = { task: null, page: 0, filters: new URLSearchParams() };
let shown = []; // places in data.tasks of what passes the filters
const taskPlaces = new Map();
data.tasks.forEach((task, place) => {
  const id = wellFormed(task.id);
  if (!taskPlaces.has(id)) {
    taskPlaces.set(id, place);
  }
});

function filterFields() {
  const labels = new Map();
  for (const task of data.tasks) {
    for (const [name, value] of Object.entries(task.labels)) {
      labels.set(name, (labels.get(name) ?? new Set()).add(value));
    }
  }
  const errors = new Set(data.tasks.flatMap((task) => task.answers.map((answer) => answer.error)));
  errors.delete(null);
  return [
    ["decoding", "decoding", data.decodings],
    ["state", "state", ["right", "wrong", "unjudged"]],
    ["error", "error", [...errors].sort()],
    ...[...labels].map(([name, values]) => [LABEL + name, name, [...values].sort()]),
  ].filter(([, , values]) => values.length > 0);
}

function fillFilters(onChange) {
  const form = byId("filters");
  const search = make("input", { type: "search", id: "q", name: "q", placeholder: "words of prompts and answers" });
  form.append(make("label", { for: "q" }, "text"), search);
  filterFields().forEach(([key, name, values], place) => {
    const options = values.map((value) => make("option", { value: wellFormed(value) }, value));
    const select = make("select", { id: `filter-${place}`, name: wellFormed(key) }, make("option", { value: ANY }, "any"), ...options);
    form.append(make("label", { for: `filter-${place}` }, name), select);
  });
  form.append(make("button", { type: "reset" }, "all tasks"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", onChange);
  form.addEventListener("reset", () => setTimeout(onChange));
}

function readFilters() {
  const filters = new URLSearchParams();
  for (const field of byId("filters").elements) {
    if (field.name !== "" && field.value !== ANY) {
      filters.set(field.name, field.value);
    }
  }
  return filters;
}

function writeFilters(filters) {
  for (const field of byId("filters").elements) {
    if (field.name !== "") {
      field.value = filters.get(field.name) ?? ANY;
      if (field.selectedIndex === -1) {
        field.value = ANY; // an address that names a value which is not there
      }
    }
  }
}

function chosenDecoding() {
  const name = chosen.filters.get("decoding");
  const place = data.decodings.findIndex((decoding) => wellFormed(decoding) === name);
  return place === -1 ? null : place;
}

// Numbers of the texts that hold the words; null for all.
function textsWith(words) {
  if (words === null || words === "") {
    return null;
  }
  const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  const found = new Set();
  data.texts.forEach((text, place) => {
    if (pattern.test(text)) {
      found.add(place);
    }
  });
  return { found, pattern };
}

function passes(task, filters, decoding, words) {
  for (const [key, value] of filters) {
    if (key.startsWith(LABEL) && wellFormed(task.labels[key.slice(LABEL.length)] ?? "") !== value) {
      return false;
    }
  }
  const state = filters.get("state");
  const error = filters.get("error");
  const answers = task.answers.filter(
    (answer) =>
      isOther(answer, decoding) === 0 &&
      (state === null || stateOf(answer) === state) &&
      (error === null || (answer.error !== null && wellFormed(answer.error) === error)),
  );
  if (answers.length === 0 && (decoding !== null || state !== null || error !== null)) {
    return false;
  }
  return words === null || words.pattern.test(task.id) || textNumbers(task, answers).some((text) => words.found.has(text));
}

function textNumbers(task, answers) {
  return [
    ...task.messages.map(([, text]) => text),
    task.reference,
    ...answers.flatMap((answer) => [
      answer.answer,
      ...answer.segments.map(([, text]) => text),
      ...answer.candidates.map(([text]) => text),
    ]),
  ];
}

function applyFilters(filters) {
  chosen.filters = filters;
  const words = textsWith(filters.get("q"));
  const decoding = chosenDecoding();
  shown = [...data.tasks.keys()].filter((place) => passes(data.tasks[place], filters, decoding, words));
}

function addressOf(task) {
  const address = new URLSearchParams(chosen.filters);
  address.set("view", "tasks");
  if (task !== null) {
    address.set("task", wellFormed(task.id));
  }
  return `#${address}`;
}

function fillList() {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE_LENGTH));
  chosen.page = Math.min(chosen.page, pages - 1);
  const start = chosen.page * PAGE_LENGTH;
  byId("count").textContent = `${shown.length} of ${data.tasks.length} tasks`;
  byId("list").replaceChildren(...shown.slice(start, start + PAGE_LENGTH).map(listItem));
  const turn = (step) => () => {
    chosen.page += step;
    fillList();
  };
  byId("pages").replaceChildren(
    make("button", { type: "button", disabled: chosen.page === 0, onclick: turn(-1) }, "previous page"),
    ` ${chosen.page + 1} of ${pages} `,
    make("button", { type: "button", disabled: chosen.page === pages - 1, onclick: turn(1) }, "next page"),
  );
  byId("pages").hidden = pages === 1;
}

function listItem(place) {
  const task = data.tasks[place];
  const marks = data.decodings.map((name, decoding) => {
    const state = stateOfAll(task.answers.filter((answer) => answer.decoding === decoding));
    return make("span", { class: state, title: `${name}: ${state}` }, SYMBOLS[state]);
  });
  const isCurrent = place === chosen.task ? "true" : null;
  return make("li", {}, make("a", { href: addressOf(task), "aria-current": isCurrent }, task.id, make("span", { class: "marks" }, ...marks)));
}

function showTask() {
  const article = byId("task");
  if (chosen.task === null) {
    article.replaceChildren(make("p", { class: "faint" }, "Choose a task, or press j."));
    return;
  }
  article.replaceChildren(...taskElements(data.tasks[chosen.task], chosenDecoding()));
}

// The next task in the list, or the previous one: step is 1 or -1.
function neighbour(step) {
  const place = shown.indexOf(chosen.task);
  const next = place === -1 ? (step > 0 ? 0 : shown.length - 1) : place + step;
  return shown[next] ?? null;
}
