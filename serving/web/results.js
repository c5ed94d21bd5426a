// What was found, as cards to choose from.

import { found } from "./texts.js";

const TONES = 5; // grounds of a tile, in answer.css
const LEADING = ["author", "year"]; // facets that come first, without their name

/** @typedef {import("./stream.js").Item} Item */

/**
 * @param {Item[]} items best first
 * @param {(item: Item) => void} onChoose
 */
export function showResults(items, onChoose) {
  const title = /** @type {HTMLElement} */ (document.querySelector("#results-title"));
  const list = /** @type {HTMLElement} */ (document.querySelector("#cards"));
  title.textContent = found(items.length);
  list.replaceChildren(...items.map((item) => card(item, onChoose)));
}

/**
 * @param {Item} item
 * @param {(item: Item) => void} onChoose
 */
function card(item, onChoose) {
  const button = element("button", "card");
  button.setAttribute("type", "button");
  button.setAttribute("aria-pressed", "false");
  const text = element("span", "");
  const facets = facetLine(item.facets ?? {});
  text.append(element("span", "title", item.title), ...(facets ? [element("span", "facets", facets)] : []));
  const tile = element("span", `tile tone-${tone(item.title)}`, initial(item.title));
  tile.setAttribute("aria-hidden", "true");
  button.append(tile, text, mark());
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-pressed") === "true") return;
    button.parentElement?.parentElement
      ?.querySelectorAll(".card")
      .forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    onChoose(item);
  });
  const row = element("li", "");
  row.append(button);
  return row;
}

/** @param {Record<string, unknown>} facets */
function facetLine(facets) {
  const others = Object.keys(facets).filter((name) => !LEADING.includes(name));
  return [...LEADING.filter((name) => name in facets), ...others].map((name) => said(name, facets[name])).join(" · ");
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function said(name, value) {
  if (name === "year") return Number(value) < 0 ? `${-Number(value)} BC` : String(value);
  // Words speak for themselves; a number needs its name.
  return typeof value === "number" ? `${name} ${value}` : [value].flat().join(", ");
}

/** @param {string} title filed as a library does: without its article */
const initial = (title) => Array.from(title.replace(/^(the|an?) /i, ""))[0]?.toUpperCase() ?? "";

/** @param {string} title the same title has the same ground */
const tone = (title) => Array.from(title).reduce((sum, letter) => sum + letter.codePointAt(0), 0) % TONES;

function mark() {
  const template = /** @type {HTMLTemplateElement} */ (document.querySelector("#chosen"));
  return template.content.cloneNode(true);
}

/**
 * @param {string} name
 * @param {string} className
 * @param {string} text
 */
function element(name, className, text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
