// Every sentence that the page says while it runs.

/** Under the button, in each state. */
export const HINTS = {
  idle: touches() ? "Tap and speak, or hold while you speak" : "Click and speak, or hold the space bar",
  asking: "Opening the microphone …",
  listening: touches() ? "Listening. Tap when you are done" : "Listening. Esc cancels",
  thinking: "One moment …",
  answered: touches() ? "Tap to ask for something else" : "Click, or hold the space bar, to ask for something else",
  editing: "",
  stopped: touches() ? "Tap and speak" : "Click and speak, or hold the space bar",
};

/**
 * @typedef {object} Notice
 * @property {string} title
 * @property {string} detail
 * @property {boolean} [again] whether trying again may help
 * @property {boolean} [key] whether a key may help
 */

/** By null reason or kind of problem. @type {Record<string, Notice>} */
export const NOTICES = {
  no_speech: {
    title: "I heard nothing",
    detail: "No one seemed to speak. If you did, check which microphone is chosen and that it is not muted.",
    again: true,
  },
  too_quiet: {
    title: "That was too quiet",
    detail: "I can tell that you spoke, but not what you said. Move closer to the microphone, or speak up.",
    again: true,
  },
  too_short: {
    title: "That was too short",
    detail: "Keep the button held while you speak, or tap it once and speak.",
    again: true,
  },
  low_confidence: {
    title: "I did not understand that",
    detail: "I heard you, but any words I wrote down would be a guess. Say it once more, or type it.",
    again: true,
  },
  insecure: {
    title: "The microphone needs a secure connection",
    detail:
      "Browsers open it only to pages from https:// addresses or from this same computer. " +
      "Until this address has https, you can type.",
  },
  unsupported: {
    title: "This browser cannot give me the microphone",
    detail: "A current Firefox, Chrome, Edge or Safari can. You can type here all the same.",
  },
  refused: {
    title: "I may not use the microphone",
    detail: "Allow it for this page in the browser’s address bar, then try again. Or type.",
    again: true,
  },
  absent: {
    title: "There is no microphone",
    detail: "Plug one in, or choose one in the system’s settings, then try again. Or type.",
    again: true,
  },
  in_use: {
    title: "The microphone is busy",
    detail: "Another program seems to be using it. Close that, then try again. Or type.",
    again: true,
  },
  unplugged: {
    title: "The microphone went away",
    detail: "It was unplugged or switched off while you spoke.",
    again: true,
  },
  key: {
    title: "This server asks for a key",
    detail: "It answers those whom its operator has given an API key.",
    key: true,
  },
  forbidden: {
    title: "This key may not search",
    detail: "Its operator made it for something else. Another key may do.",
    key: true,
  },
  no_catalog: {
    title: "There is nothing to search here",
    detail: "This server was started without a catalogue.",
  },
  limited: { title: "That was a lot in a short time", detail: "The server rations how much it listens.", again: true },
  overloaded: {
    title: "The server is busy",
    detail: "It would rather say so now than keep you waiting.",
    again: true,
  },
  lost: {
    title: "The connection was lost",
    detail: "The server did not answer. Check the network, then try again.",
    again: true,
  },
  failed: { title: "Something went wrong", detail: "The fault is on our side, not yours.", again: true },
};

/** @param {number} seconds */
export const tryAgainIn = (seconds) => `Try again in ${seconds === 1 ? "a second" : `${seconds} seconds`}.`;

/** @param {number} confidence */
export const sureness = (confidence) => `${percent(confidence)} sure`;

/**
 * @param {number} confidence that all of it is right
 * @param {{word: string, conf: number}[]} words those in doubt
 */
export const unsureOf = (confidence, words) =>
  `${percent(confidence)} sure of all of it; unsure of ` +
  words.map(({ word, conf }) => `“${word}” (${percent(conf)})`).join(", ");

export const TYPED = "As you typed it";
export const LISTENING = "Listening";
export const CANCELLED = "Cancelled";
export const CHOSEN = "Chosen";

/** @param {number} count */
export const found = (count) => {
  if (count === 0) return "Nothing in the catalogue is like that. Try other words.";
  return count === 1 ? "One result" : `${count} results`;
};

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function touches() {
  return matchMedia("(pointer: coarse)").matches;
}
