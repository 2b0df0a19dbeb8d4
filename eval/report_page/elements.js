// The page's data and its elements. Texts are appended as text nodes or set as textContent: never parsed as markup.

// {title, model, configuration, decodings: [name], metrics: [name], texts: [text], facts: [{name: value}],
//  left_out: what the page lacks, in a sentence, or "",
//  tables: [{title, header, rows, note, if_empty}], pictures: [{caption, source}],
//  tasks: [{id, labels, messages: [[role, text number]], reference: text number, costs: {decoding number: {name: number}},
//           answers: [{decoding, sample, segments: [[author, text number]], answer: text number, values, error,
//                      unjudged: text number, facts: facts number or null where they are left out, finish, closed,
//                      grammar_error: text number, grammar_lenient: text number, tokens, timing,
//                      candidates: [[text number or null, score, digest, is chosen, tokens]]}]}]}
const data = JSON.parse(document.getElementById("data").textContent);

const SHOWN_AT_FIRST = 20000; // characters of one text: laying out a megabyte takes seconds

function byId(id) {
  return document.getElementById(id);
}

// make("a", {href: "#", class: "x", onclick: f}, "text", element, null)
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// A text in full, or its beginning and a button for the rest.
function textBlock(text, kind) {
  const block = make("pre", { class: kind ?? "" });
  if (text.length <= SHOWN_AT_FIRST) {
    block.textContent = text === "" ? "(empty)" : text;
    return block;
  }
  block.textContent = text.slice(0, SHOWN_AT_FIRST);
  const more = make("button", { type: "button", class: "more" }, `show all ${text.length} characters`);
  more.addEventListener("click", () => {
    block.textContent = text;
    more.remove();
  });
  return make("div", {}, block, more);
}

// A section that is filled when it is first opened.
function lazyDetails(summary, fill, properties, isOpen) {
  const details = make("details", properties, make("summary", {}, ...summary));
  let isFilled = false;
  const open = () => {
    if (details.open && !isFilled) {
      isFilled = true;
      details.append(...fill().filter((child) => child !== null));
    }
  };
  details.addEventListener("toggle", open);
  details.open = isOpen ?? false;
  open();
  return details;
}

function definitions(entries) {
  const list = make("dl", {});
  for (const [term, value] of entries) {
    if (value !== null && value !== undefined) {
      list.append(make("dt", {}, term), make("dd", {}, String(value)));
    }
  }
  return list;
}

// Addresses know no lone surrogates: texts are compared in the form that they get there.
function wellFormed(text) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}
