// The page, composed: what the person does, what the service answers, and what is shown for it.

import { send } from "./events.js";
import { askForKey } from "./key.js";
import { listen } from "./listen.js";
import { createMeter } from "./meter.js";
import { onPress } from "./press.js";
import { asProblem } from "./problem.js";
import { post } from "./rest.js";
import { showResults } from "./results.js";
import { session } from "./session.js";
import { CANCELLED, CHOSEN, found, LISTENING, TYPED } from "./texts.js";
import { announce, at, setState, showHeard, showNotice, showPartial, state } from "./view.js";
import { note, sentence } from "./words.js";

const meter = createMeter(at("meter"));
const field = /** @type {HTMLInputElement} */ (at("typed"));

/** The utterance that is going on. @type {ReturnType<typeof listen> | null} */
let utterance = null;
/** Counts what was asked, so that an answer to something else comes too late. */
let turn = 0;
/** The last answer: what events are about. @type {{id: string, spoken: boolean} | null} */
let query = null;
/** What "Try again" does. */
let retry = sayAgain;

// Speaking

function speak() {
  turn++;
  query = null;
  retry = sayAgain;
  field.value = "";
  showResults([], "", () => {});
  setState("asking");
  utterance = listen({
    open() {
      setState("listening");
      meter.show("hearing");
      announce(LISTENING);
    },
    level: meter.level,
    partial: showPartial,
    stopped: think,
    closed: think,
    answered(answer) {
      rest();
      query = { id: answer.query_id, spoken: true };
      if (answer.null_reason) return showNotice(answer.null_reason);
      field.value = answer.text;
      showHeard(sentence(answer), note(answer));
      showAnswer(answer.text, answer.results);
    },
    failed(problem) {
      field.value = at("partial").textContent ?? ""; // nothing that was said need be said twice
      rest();
      showNotice(problem.kind, problem.retryAfterS);
    },
  });
}

function think() {
  setState("thinking");
  meter.show("thinking");
}

function rest() {
  utterance = null;
  meter.show("resting");
}

function cancel() {
  utterance?.cancel();
  rest();
  setState("idle");
  announce(CANCELLED);
}

onPress(
  at("microphone"),
  () => {
    if (state() === "listening") utterance?.stop();
    else if (utterance !== null) cancel();
    else {
      speak();
      return true;
    }
    return false;
  },
  () => utterance?.stop(),
);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (utterance !== null) cancel();
  else if (state() === "editing") leaveField();
});

// Answers

/**
 * @param {string} text
 * @param {import("./stream.js").Item[]} items
 */
function showAnswer(text, items) {
  const { id, spoken } = /** @type {{id: string, spoken: boolean}} */ (query);
  showResults(items, text, (item) => {
    void send("click", id, { item_id: item.id });
    announce(`${CHOSEN}: ${item.title}`);
  });
  at("again").hidden = !spoken;
  setState("answered");
  announce(`${text}. ${found(items.length)}`);
}

at("again").addEventListener("click", sayAgain);
at("notice-again").addEventListener("click", () => retry());

function sayAgain() {
  if (query?.spoken) void send("redo", query.id);
  at("microphone").focus();
  speak();
}

at("dismiss").addEventListener("click", () => {
  if (query !== null) void send("dismiss", query.id);
  query = null;
  field.value = "";
  setState("idle");
  at("microphone").focus();
});

// Typing

at("correct").addEventListener("click", () => editField());
at("heard-text").addEventListener("click", ({ target }) => {
  const word = /** @type {HTMLElement} */ (target).dataset.word;
  editField(word === undefined ? undefined : Number(word));
});

/** @param {number} [word] the one to select, if not all */
function editField(word) {
  setState("editing");
  field.focus();
  if (word === undefined) return field.select();
  const before = field.value.split(" ").slice(0, word);
  const start = before.join(" ").length + Math.min(word, 1);
  field.setSelectionRange(start, start + field.value.split(" ")[word].length);
}

function leaveField() {
  field.value = at("heard-text").textContent ?? "";
  setState("answered");
  at("correct").focus();
}

at("typing").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (text === "") return;
  const before = query;
  const asked = ++turn;
  retry = () => /** @type {HTMLFormElement} */ (at("typing")).requestSubmit();
  setState("thinking");
  meter.show("thinking");
  try {
    const answer = await post("/v1/search/text", { query: text, session: session() });
    if (before?.spoken) void send("typed", before.id, { text });
    if (asked !== turn) return;
    rest();
    query = { id: answer.query_id, spoken: false };
    showHeard([text], TYPED);
    showAnswer(text, answer.results);
    at("results-title").focus();
  } catch (error) {
    if (asked !== turn) return;
    rest();
    const { kind, retryAfterS } = asProblem(error);
    showNotice(kind, retryAfterS);
    field.focus();
  }
});

// Keys

at("key-open").addEventListener("click", () => askForKey(() => {}));
at("notice-key").addEventListener("click", () => {
  askForKey(() => {
    setState("idle");
    at(field.value === "" ? "microphone" : "typed").focus();
  });
});

setState("idle");
