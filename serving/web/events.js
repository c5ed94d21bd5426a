// What the person did with an answer: the only way the service learns whether it was any good.

import { asProblem } from "./problem.js";
import { post } from "./rest.js";
import { randomId } from "./session.js";

const RETRIES_MS = [0, 1_000, 4_000];

/**
 * Tell the service, in the background: nobody waits for it, and its failure is no concern of the person's.
 * @param {"click" | "redo" | "typed" | "dismiss"} type
 * @param {string} queryId the answer that it is about
 * @param {{item_id?: string, text?: string}} more
 */
export async function send(type, queryId, more = {}) {
  // The same event id each time: a second arrival is no second event.
  // Without a time: the service's clock is right, and this comes at once.
  const event = { event_id: randomId(), query_id: queryId, type, ...more };
  for (const wait of RETRIES_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      // keepalive outlives the page like sendBeacon, which could not carry the key.
      await post("/v1/events", event, { keepalive: true });
      return;
    } catch (error) {
      const { kind } = asProblem(error);
      if (kind !== "lost" && kind !== "overloaded") return; // it would be refused again
    }
  }
}
