// The service's WebSocket: packets of sound out; partial texts and one final answer in.

import { asProblem, Problem, problemOf } from "./problem.js";
import { reasonForRefusal } from "./rest.js";
import { apiKey, session } from "./session.js";

const OPEN_MS = 8_000; // to be let in
const ANSWER_MS = 15_000; // from the end of the speech to the answer
const NORMAL_CLOSURE = 1_000;

/** @type {Record<string, number>} codes of the protocol's errors, as the status that REST has for them */
const STATUS = {
  invalid_api_key: 401,
  insufficient_permissions: 403,
  catalog_not_available: 404,
  rate_limit_exceeded: 429,
  overloaded: 503,
};

/**
 * @typedef {object} Word
 * @property {string} word
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {number} conf probability that it is right
 *
 * @typedef {object} Item
 * @property {string} id
 * @property {string} title
 * @property {Record<string, unknown>} [facets]
 *
 * @typedef {object} Answer
 * @property {string} text
 * @property {Word[]} [words]
 * @property {number} confidence
 * @property {string} query_id
 * @property {"no_speech" | "too_quiet" | "too_short" | "low_confidence" | null} [null_reason]
 * @property {Item[]} results
 *
 * @typedef {object} Listener
 * @property {() => void} started speech has begun
 * @property {(text: string) => void} partial what it sounds like so far
 * @property {() => void} stopped speech has ended; the answer follows
 * @property {(answer: Answer) => void} answered the end
 * @property {(problem: Problem) => void} failed the end
 */

/**
 * One utterance. What is sent before the socket is open waits for it.
 * @param {Listener} on
 */
export function openStream(on) {
  const key = apiKey();
  const address = new URL("/v1/stream", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  // A browser cannot send headers with a WebSocket; the key goes as a subprotocol.
  const socket = new WebSocket(address, key ? ["voicesearch", `key.${key}`] : []);
  /** @type {(string | ArrayBuffer)[]} */
  let waiting = [JSON.stringify({
    config: { sample_rate: 16_000, words: true, catalog: true, single: true, session: session(), device: "page" },
  })];
  let opened = false;
  let over = false;
  let timer = setTimeout(() => fail(new Problem("lost")), OPEN_MS);

  /** @param {string | ArrayBuffer} message */
  const send = (message) => {
    if (over) return;
    if (opened) socket.send(message);
    else waiting.push(message);
  };
  const close = () => {
    over = true;
    waiting = [];
    clearTimeout(timer);
    socket.close(NORMAL_CLOSURE);
  };
  /** @param {Problem} problem */
  const fail = (problem) => {
    if (over) return;
    close();
    on.failed(problem);
  };

  const expectAnswer = () => {
    clearTimeout(timer);
    timer = setTimeout(() => fail(new Problem("lost")), ANSWER_MS);
  };

  socket.onopen = () => {
    opened = true;
    clearTimeout(timer);
    waiting.forEach((message) => socket.send(message));
    waiting = [];
  };
  socket.onclose = () => {
    if (over) return;
    if (opened) fail(new Problem("lost"));
    else reasonForRefusal().catch(asProblem).then(fail);
  };
  socket.onmessage = ({ data }) => {
    if (over) return;
    const message = JSON.parse(data);
    switch (message.type) {
      case "speech_started": return on.started();
      case "partial": return on.partial(message.text);
      case "speech_stopped": expectAnswer(); return on.stopped();
      case "final": close(); return on.answered(message);
      case "error": return fail(problemOf(STATUS[message.code] ?? 500, message.retry_after_s));
    }
  };

  return {
    send,
    close,
    /** No more sound: the answer must come now. */
    end: () => {
      send('{"eof":1}');
      expectAnswer();
    },
  };
}
