// What this tab remembers while it is open: a random name for the sitting, and the API key that was entered.

const SESSION = "voicesearch.session";
const KEY = "voicesearch.key";

/** @type {Map<string, string>} in place of a storage that the browser refuses */
const memory = new Map();

/** 128 random bits. crypto.randomUUID would be shorter and is missing where the page is not served securely. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The name of this sitting, made when it is first asked for. */
export function session() {
  const known = read(SESSION);
  if (known !== null) return known;
  const made = randomId();
  write(SESSION, made);
  return made;
}

/** The API key, or "" where none was entered. */
export function apiKey() {
  return read(KEY) ?? "";
}

/** @param {string} key "" forgets it */
export function setApiKey(key) {
  write(KEY, key);
}

/** @param {string} name */
function read(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
function write(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    memory.set(name, value);
  }
}
