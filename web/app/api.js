// The one place that speaks to the query API. The key travels in a header only.
import { parseExact } from "./exact.js";

/** What the API, or the way to it, says is wrong: problem+json's fields; status 0: no answer came. */
export class Problem extends Error {
  constructor(status, fields) {
    super(fields.detail ?? fields.title ?? String(status));
    this.status = status;
    this.fields = fields;
  }
}

export class Api {
  #key;

  constructor(key) {
    this.#key = key;
  }

  /** {result, comparison, meta} */
  ask(analysis, body, signal) {
    return this.#request(`query/${analysis}`, { body, signal });
  }

  /** {users, total, next_cursor} behind a cell */
  users(analysis, body, signal) {
    return this.#request(`query/${analysis}/users`, { body, signal });
  }

  projects(signal) {
    return this.#request("projects", { signal });
  }

  catalogue(project, signal) {
    return this.#request(`catalogue?${new URLSearchParams({ project })}`, { signal });
  }

  /** {virtual_events}: names that stand for several events */
  virtualEvents(project, signal) {
    return this.#request(`projects/${encodeURIComponent(project)}/virtual-events`, { signal });
  }

  person(project, id, signal) {
    return this.#request(`users/${encodeURIComponent(id)}?${new URLSearchParams({ project })}`, { signal });
  }

  /** {events, next_before}, newest first */
  timeline(project, id, before, signal) {
    const query = new URLSearchParams({ project, limit: "50", ...(before ? { before } : {}) });
    return this.#request(`users/${encodeURIComponent(id)}/events?${query}`, { signal });
  }

  async #request(path, { body, signal }) {
    const headers = { Authorization: `Bearer ${this.#key}` };
    if (body) headers["Content-Type"] = "application/json";
    const options = { method: body ? "POST" : "GET", headers, signal, cache: "no-store", credentials: "omit" };
    if (body) options.body = JSON.stringify(body);
    let response, text;
    try {
      response = await fetch(`/api/v1/${path}`, options);
      text = await response.text();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, {});
    }
    const answer = readAnswer(text);
    if (!response.ok || answer === undefined) throw new Problem(response.status, answer ?? { detail: text.slice(0, 300) });
    return answer;
  }
}

function readAnswer(text) {
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}
