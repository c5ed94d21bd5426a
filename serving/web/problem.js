// What can go wrong between a person and an answer. The words for each kind are in texts.js.

/**
 * @typedef {"insecure" | "unsupported" | "refused" | "absent" | "in_use" | "unplugged" |
 *           "key" | "forbidden" | "no_catalog" | "limited" | "overloaded" | "lost" | "failed"} Kind
 */

export class Problem extends Error {
  /**
   * @param {Kind} kind
   * @param {number | null} retryAfterS when it is worth another try, where the server says so
   */
  constructor(kind, retryAfterS = null) {
    super(kind);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * What a refusal means.
 * @param {number} status of HTTP
 * @param {unknown} retryAfter seconds, if told
 */
export function problemOf(status, retryAfter = null) {
  const seconds = Math.ceil(Number(retryAfter)) || null;
  if (status === 401) return new Problem("key");
  if (status === 403) return new Problem("forbidden");
  if (status === 404) return new Problem("no_catalog"); // of the addresses that the page asks, only a search
  if (status === 429) return new Problem("limited", seconds);
  if (status === 503) return new Problem("overloaded", seconds);
  return new Problem("failed");
}

/**
 * An error as a Problem. One that nobody foresaw is for the console.
 * @param {unknown} error
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem("failed");
}
