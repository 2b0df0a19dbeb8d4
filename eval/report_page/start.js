// Addresses (#view=tasks&task=ID&decoding=NAME&state=wrong&error=...&label.NAME=VALUE&q=WORDS), keys, and the start.

const TYPING_PAUSE = 200; // ms before words are looked for
let waiting = null;

function route() {
  const address = new URLSearchParams(location.hash.slice(1));
  const isTasks = address.get("view") === "tasks" || address.has("task");
  byId("overview").hidden = isTasks;
  byId("tasks").hidden = !isTasks;
  byId("to-overview").toggleAttribute("aria-current", !isTasks);
  byId("to-tasks").toggleAttribute("aria-current", isTasks);
  if (!isTasks) {
    return;
  }
  const id = address.get("task");
  address.delete("view");
  address.delete("task");
  writeFilters(address);
  applyFilters(readFilters());
  const place = id === null ? undefined : taskPlaces.get(id);
  chosen.task = place ?? null;
  const listed = shown.indexOf(chosen.task);
  if (listed !== -1) {
    chosen.page = Math.floor(listed / PAGE_LENGTH);
  }
  fillList();
  if (id !== null && place === undefined) {
    byId("task").replaceChildren(make("p", {}, "This report has no task ", make("code", {}, id), "."));
  } else {
    showTask();
  }
  byId("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function filtersChanged() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    applyFilters(readFilters());
    chosen.page = 0;
    history.replaceState(null, "", addressOf(chosen.task === null ? null : data.tasks[chosen.task]));
    fillList();
  }, TYPING_PAUSE);
}

function keyPressed(event) {
  const isTyping = event.target.closest("input, select, textarea") !== null;
  if (event.ctrlKey || event.altKey || event.metaKey || (isTyping && event.key !== "Escape")) {
    return;
  }
  if (event.key === "Escape") {
    document.activeElement.blur();
  } else if (event.key === "j" || event.key === "k") {
    const next = byId("tasks").hidden ? (shown[0] ?? null) : neighbour(event.key === "j" ? 1 : -1);
    if (next !== null) {
      location.hash = addressOf(data.tasks[next]);
      scrollTo(0, 0);
    }
  } else if (event.key === "/") {
    event.preventDefault();
    if (byId("tasks").hidden) {
      location.hash = "#view=tasks";
      route();
    }
    byId("q").focus();
  } else if (event.key === "o") {
    location.hash = "#view=overview";
  }
}

document.querySelector("h1").textContent = data.title;
byId("model").textContent = data.model;
byId("left-out").textContent = data.left_out;
byId("left-out").hidden = data.left_out === "";
fillOverview();
fillFilters(filtersChanged);
applyFilters(new URLSearchParams());
addEventListener("hashchange", route);
document.addEventListener("keydown", keyPressed);
route();
document.body.dataset.ready = "true";
