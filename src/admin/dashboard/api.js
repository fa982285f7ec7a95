/** The client of the admin API: sends the token, and makes errors that can be shown. */

const TOKEN_KEY = "roundhouse-token";

/** A refusal, or a missing response. */
export class ApiError extends Error {
  /** @type {number | null} The HTTP status; `null`: no answer came. */
  status;

  /**
   * @param {string} message for the person at the page
   * @param {number | null} status
   * @param {ErrorOptions} [options]
   */
  constructor(message, status, options) {
    super(message, options);
    this.status = status;
  }
}

/** The page has one of these. The token is kept for the tab, but only after the server has accepted it. */
export class Api {
  /** @type {string | null} */
  #token = sessionStorage.getItem(TOKEN_KEY);

  /** @param {{ onDenied: (error: ApiError) => void }} options called for each 401 */
  constructor({ onDenied }) {
    this.onDenied = onDenied;
  }

  get hasToken() {
    return this.#token !== null;
  }

  /** @param {string | null} token `null` forgets it */
  useToken(token) {
    this.#token = token;
    if (token === null) sessionStorage.removeItem(TOKEN_KEY);
  }

  /**
   * Sends a request and reads the JSON of its answer.
   *
   * @param {string} path relative to the page
   * @param {{ method?: string, body?: unknown }} [options]
   * @throws {ApiError}
   */
  async call(path, { method = "GET", body } = {}) {
    const response = await this.#fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    return await response.json();
  }

  /**
   * Opens the event stream.
   *
   * @param {string} lastEventId
   * @param {AbortSignal} signal
   * @throws {ApiError}
   */
  async openEvents(lastEventId, signal) {
    const response = await this.#fetch("events", { signal, headers: { "last-event-id": lastEventId } });
    if (response.body === null) throw new ApiError("the event stream has no body", response.status);
    return response.body;
  }

  /**
   * @param {string} path
   * @param {RequestInit & { headers?: Record<string, string> }} init
   */
  async #fetch(path, init) {
    const token = this.#token;
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    const headers = { ...init.headers, ...authorization };
    const response = await fetch(new URL(path, document.baseURI), { ...init, headers, cache: "no-store" })
      .catch((cause) => {
        throw new ApiError("roundhouse can't be reached", null, { cause });
      });
    if (response.ok) {
      if (token !== null && token === this.#token) sessionStorage.setItem(TOKEN_KEY, token);
      return response;
    }
    const error = new ApiError(await detailOf(response), response.status);
    if (response.status === 401 && token === this.#token) this.onDenied(error);
    throw error;
  }
}

/**
 * The detail of the problem (RFC 9457), or else the status.
 *
 * @param {Response} response
 */
async function detailOf(response) {
  const problem = await response.json().catch(() => null);
  return typeof problem?.detail === "string" ? problem.detail : `roundhouse answered ${response.status}`;
}
