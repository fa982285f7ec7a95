/** Keeps the event stream open. Opens it again when it ends, breaks or falls silent. */

import { ApiError } from "./api.js";
import { EventParser } from "./event_parser.js";

/** @import { ServerEvent } from "./event_parser.js" */

/** `stats` come each second. If nothing comes for this long, the connection is lost. */
const SILENCE_MS = 5000;

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;

/**
 * The id of no process, so that the server sends all events that it keeps. `EventSource` can send neither id nor token.
 */
const FROM_THE_START = "0";

/**
 * @typedef {object} LiveOptions
 * @property {(lastEventId: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>} open
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(reason: string) => void} onLost the stream has ended, or could not be opened; it is tried again
 */

/** Runs until `stop()`, and until a 401, after which `start()` has to be called again. */
export class Live {
  #lastEventId = FROM_THE_START;
  #retryMs = FIRST_RETRY_MS;
  #stop = new AbortController();
  /** @type {(() => void) | undefined} Ends the wait before the next try. */
  #wake;

  /** @param {LiveOptions} options */
  constructor({ open, onEvent, onLost }) {
    this.open = open;
    this.onEvent = onEvent;
    this.onLost = onLost;
  }

  start() {
    this.stop();
    this.#stop = new AbortController();
    this.#retryMs = FIRST_RETRY_MS;
    this.#run(this.#stop.signal);
  }

  stop() {
    this.#stop.abort();
    this.#wake?.();
  }

  /** Ends a wait and tries at once, because the network is back or the page is visible again. */
  hurry() {
    this.#wake?.();
  }

  /** @param {AbortSignal} stop */
  async #run(stop) {
    while (!stop.aborted) {
      const reason = await this.#follow(stop).catch((error) => error);
      if (stop.aborted || (reason instanceof ApiError && reason.status === 401)) return;
      this.onLost(reason instanceof ApiError ? reason.message : "the connection to roundhouse was lost");
      await this.#pause();
    }
  }

  /**
   * Reads one stream to its end.
   *
   * @param {AbortSignal} stop
   */
  async #follow(stop) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const body = await this.open(this.#lastEventId, AbortSignal.any([stop, silence.signal]));
      const parser = new EventParser();
      const decoder = new TextDecoder();
      const reader = body.getReader();
      while (true) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        this.#retryMs = FIRST_RETRY_MS;
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.lastEventId !== "") this.#lastEventId = event.lastEventId;
          this.onEvent(event);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns {Promise<void>} */
  #pause() {
    const ms = this.#retryMs;
    this.#retryMs = Math.min(LONGEST_RETRY_MS, ms * 2);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
