// The numbers on top: one glance says whether all is well.

import { make } from "./dom.js";
import { interval, milliseconds, percentFinely, perMinute } from "./format.js";
import { spark } from "./spark.js";

/**
 * @param {HTMLElement} host
 * @param {any} view
 */
export function showTiles(host, view) {
  const { traffic, latency, rates } = view;
  const sums = view.times.map((/** @type {number} */ _, /** @type {number} */ at) =>
    Object.values(traffic).reduce((sum, each) => sum + each[at], 0),
  );
  const minutes = (view.until - view.since) / 60;
  const slow = latency.p95.all > latency.target_ms;
  host.replaceChildren(
    tile("#traffic", "Requests", perMinute(view.requests / minutes), `${view.requests.toLocaleString("en-GB")} in all`, sums),
    tile("#speed", "95 % answered within", milliseconds(latency.p95.all), `${percentFinely(latency.within)} within ${milliseconds(latency.target_ms)}`, latency.p95.at, slow),
    share("#outcomes", "Came out empty", rates.null_rate),
    share("#outcomes", "Said again", rates.redo_rate),
    share("#outcomes", "Opened a result", rates.click_rate),
    share("#outcomes", "Failed", rates.error_rate),
  );
}

/**
 * @param {string} link
 * @param {string} name
 * @param {any} rate
 */
const share = (link, name, rate) => tile(link, name, percentFinely(rate.all.rate), interval(rate.all), rate.at);

/**
 * @param {string} link
 * @param {string} name
 * @param {string} value
 * @param {string} note
 * @param {(number | null)[]} values
 * @param {boolean} [bad]
 */
const tile = (link, name, value, note, values, bad = false) =>
  make(
    "li",
    {},
    make(
      "a",
      { className: bad ? "tile bad" : "tile", href: link },
      make("span", { className: "name" }, name),
      make("strong", {}, value),
      make("span", { className: "note" }, note),
      spark(values),
    ),
  );
