// The heard sentence, each word with how sure the service is of it.

import { sureness, unsureOf } from "./texts.js";

const UNSURE = 0.75; // probabilities: below, a word is marked
const DOUBTFUL = 0.5; // below, it is as likely wrong as right

/** @typedef {import("./stream.js").Answer} Answer */

/**
 * The sentence, for the eye: tooltips and underlines.
 * @param {Answer} answer
 * @returns {(Node | string)[]}
 */
export function sentence({ text, words = [] }) {
  // Written and spoken form may differ (numbers, capitals); then there is no telling which word is which.
  if (words.map(({ word }) => word).join(" ") !== text) return [text];
  return words.flatMap(({ word, conf }, at) => {
    const span = document.createElement("span");
    span.className = conf < DOUBTFUL ? "word doubtful" : conf < UNSURE ? "word unsure" : "word";
    span.dataset.sure = sureness(conf);
    span.dataset.word = String(at);
    span.textContent = word;
    return at === 0 ? [span] : [" ", span];
  });
}

/**
 * The same in words, for everyone.
 * @param {Answer} answer
 */
export function note({ confidence, words = [] }) {
  const unsure = words.filter(({ conf }) => conf < UNSURE);
  return unsure.length === 0 ? sureness(confidence) : unsureOf(confidence, unsure);
}
