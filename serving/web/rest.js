// Requests to the service that are not the stream: a JSON body out, a JSON body in, or a Problem.

import { Problem, problemOf } from "./problem.js";
import { apiKey } from "./session.js";

/**
 * @param {string} path
 * @param {object} body
 * @param {RequestInit} options
 * @returns {Promise<any>}
 */
export async function post(path, body, options = {}) {
  const headers = { ...authorization(), "Content-Type": "application/json", "X-Device": "page" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(body), ...options });
  return response.json();
}

/**
 * Why the service would not open a stream: a plain request is told, where a WebSocket learns nothing but "closed".
 * @returns {Promise<Problem>}
 */
export async function reasonForRefusal() {
  await request("/v1/models", { headers: authorization() });
  return new Problem(apiKey() ? "forbidden" : "lost");
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function request(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new Problem("lost");
  });
  if (!response.ok) throw problemOf(response.status, response.headers.get("Retry-After"));
  return response;
}

/** @returns {Record<string, string>} */
function authorization() {
  const key = apiKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}
