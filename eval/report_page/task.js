// One task: its prompt, its reference, and every answer to it.

const SYMBOLS = { right: "✓", wrong: "✗", unjudged: "?", partly: "◐", none: "·" };

// By the first metric, the headline: right is a full 1.
function stateOf(answer) {
  const value = answer.values[0];
  return value === null ? "unjudged" : value >= 1 ? "right" : "wrong";
}

// Of all answers of one decoding to a task.
function stateOfAll(answers) {
  const states = new Set(answers.map(stateOf));
  return states.size === 0 ? "none" : states.size === 1 ? [...states][0] : "partly";
}

function taskElements(task, decoding) {
  const labels = Object.entries(task.labels).map(([name, value]) => make("span", { class: "chip" }, `${name}: ${value}`));
  const messages = task.messages.flatMap(([role, text]) => [
    make("p", { class: "author" }, role),
    textBlock(data.texts[text]),
  ]);
  const order = task.answers
    .map((answer, place) => ({ answer, place }))
    .sort((first, second) => isOther(first.answer, decoding) - isOther(second.answer, decoding) || first.place - second.place);
  return [
    make("h2", {}, task.id),
    make("div", { class: "chips" }, ...labels),
    lazyDetails([`Prompt (${messages.length / 2} messages)`], () => messages, { class: "prompt" }, messages.length > 0),
    task.reference === null ? null : make("h3", {}, "Reference"),
    task.reference === null ? null : textBlock(data.texts[task.reference], "reference"),
    make("h3", {}, "Answers"),
    ...order.map(({ answer }, place) => answerElement(task, answer, place === 0 || answer.decoding === decoding)),
  ].filter((element) => element !== null);
}

// 0 for answers of the chosen decoding, which come first; of no chosen one, for all.
function isOther(answer, decoding) {
  return decoding === null || answer.decoding === decoding ? 0 : 1;
}

function answerElement(task, answer, isOpen) {
  const state = stateOf(answer);
  const number = task.answers.filter((other) => other.decoding === answer.decoding).length > 1 ? ` ${answer.sample + 1}` : "";
  const summary = [
    make("span", { class: state }, `${SYMBOLS[state]} ${state}`),
    ` ${data.decodings[answer.decoding]}${number}`,
    answer.error === null ? "" : `: ${answer.error}`,
  ];
  return lazyDetails(summary, () => answerParts(task, answer), { class: "answer" }, isOpen);
}

function answerParts(task, answer) {
  const segments = answer.segments.flatMap(([author, text]) => [
    make("p", { class: "author" }, author),
    textBlock(data.texts[text], author),
  ]);
  const values = data.metrics.map((name, place) => [name, answer.values[place] === null ? "unjudged" : rounded(answer.values[place])]);
  const facts = Object.entries(data.facts[answer.facts] ?? {}).filter(([, value]) => value !== null);
  const candidates = answer.candidates.map((candidate, place) => candidateElement(candidate, place));
  return [
    ...segments,
    make("h3", {}, "Taken as the answer"),
    answer.answer === null ? make("p", {}, "No answer was found in it.") : textBlock(data.texts[answer.answer], "taken"),
    make("h3", {}, "Verdict"),
    definitions([
      ...values,
      ["error", answer.error],
      ["unjudged", data.texts[answer.unjudged]],
      ["without grammar", data.texts[answer.grammar_error]],
      ["a part of the grammar", data.texts[answer.grammar_lenient]],
      ["finish", answer.closed ? `${answer.finish}, closed by the budget` : answer.finish],
    ]),
    facts.length === 0 ? null : textBlock(JSON.stringify(Object.fromEntries(facts), null, 2), "facts"),
    make("h3", {}, "Cost"),
    definitions(costEntries(task, answer)),
    candidates.length === 0 ? null : make("h3", {}, `Candidates of the search (${candidates.length})`),
    ...candidates,
  ];
}

function costEntries(task, answer) {
  const own = [["tokens of this answer", answer.tokens]];
  for (const [name, seconds] of Object.entries(answer.timing ?? {})) {
    own.push([`${name.replaceAll("_", " ")}, s`, rounded(seconds)]);
  }
  for (const [name, amount] of Object.entries(task.costs[answer.decoding] ?? {})) {
    if (amount !== 0) {
      own.push([`${name.replaceAll("_", " ")}, in all`, rounded(amount)]);
    }
  }
  return own;
}

function candidateElement([text, score, digest, isChosen, tokens], place) {
  const summary = [
    isChosen ? make("strong", {}, `✓ ${place + 1}, chosen`) : `${place + 1}`,
    score === null ? "" : `, score ${rounded(score)}`,
    digest === null ? "" : `, means ${digest}`,
    `, ${tokens} tokens`,
  ];
  const fill = () => [text === null ? make("p", {}, "Its text is left out.") : textBlock(data.texts[text], "model")];
  return lazyDetails(summary, fill, { class: isChosen ? "chosen" : "candidate" });
}

function rounded(value) {
  return typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
}
