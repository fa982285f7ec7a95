/** The changes of the pool that the page offers, with the texts of their dialogs. */

import { countOf } from "./format.js";
import { DEFAULT_POOL, poolsOf } from "./pools.js";
import { takingTraffic } from "./verdict.js";

/** @import { Api } from "./api.js" */
/** @import { Action } from "./backend_table.js" */
/** @import { AddDialog, ConfirmDialog, WeightDialog } from "./dialogs.js" */
/** @import { BackendStatus, Status } from "./status.d.ts" */

/** How long a removal waits for requests in flight. */
const DRAIN = "30s";

/** A refusal of a removal arrives within this time. */
const ANSWER_MS = 500;

/** @typedef {{ title: string, text: string, button: string, isDangerous: boolean, stopsTraffic: boolean }} Words */

/** @type {Record<"active" | "draining" | "disabled" | "remove", Words>} */
const WORDS = {
  active: {
    title: "Enable this backend?",
    text: "It takes its share of new requests again.",
    button: "Enable",
    isDangerous: false,
    stopsTraffic: false,
  },
  draining: {
    title: "Drain this backend?",
    text: "It gets no new requests, except from clients that stick to it.",
    button: "Drain",
    isDangerous: false,
    stopsTraffic: true,
  },
  disabled: {
    title: "Disable this backend?",
    text: "It gets no new requests, not even from clients that stick to it.",
    button: "Disable",
    isDangerous: false,
    stopsTraffic: true,
  },
  remove: {
    title: "Remove this backend?",
    text: "It is removed from the pool, and its counts are lost.",
    button: "Remove",
    isDangerous: true,
    stopsTraffic: true,
  },
};

/** Asks for confirmation, sends a change and refreshes the page. */
export class Operations {
  #api;
  #dialogs;
  /** @type {Promise<string> | undefined} What is said of how long changes last. */
  #lasts;

  /**
   * @param {Api} api
   * @param {object} options
   * @param {ConfirmDialog} options.confirm
   * @param {WeightDialog} options.weight
   * @param {AddDialog} options.add
   * @param {() => Promise<void>} options.changed called after each change
   * @param {(text: string, reason: string) => void} options.failedLater called when nobody waits for the answer any
   * more
   */
  constructor(api, { confirm, weight, add, changed, failedLater }) {
    this.#api = api;
    this.#dialogs = { confirm, weight, add };
    this.changed = changed;
    this.failedLater = failedLater;
  }

  /** Forgets how long changes last: a reload may have changed that. */
  forgetConfiguration() {
    this.#lasts = undefined;
  }

  /**
   * @param {Action} action
   * @param {string} id
   * @param {Status} status
   */
  ask(action, id, status) {
    const pool = poolsOf(status).find(({ backends }) => backends.some((each) => each.id === id));
    const backend = pool?.backends.find((each) => each.id === id);
    if (pool === undefined || backend === undefined) return;
    const path = `${pathOf(pool.name)}/${id}`;
    const { backends } = pool;
    if (action === "weight") return this.#askForWeight(path, backend, backends);
    const { stopsTraffic, text, ...words } = WORDS[action];
    const question = {
      ...words,
      text: stopsTraffic ? `${text} ${inFlightText(backend.currentConnections)}` : text,
      target: backend.url,
      warning: stopsTraffic ? lastOneWarning(backend, backends) : "",
      offersDrain: action === "remove",
    };
    this.#dialogs.confirm.open(question, ({ drain }) => {
      if (action !== "remove") return this.#change(path, { state: action });
      return drain ? this.#drainAndRemove(path, backend) : this.#send(path, { method: "DELETE" });
    });
  }

  /** @param {string} pool */
  async askToAdd(pool) {
    this.#lasts ??= this.#api.call("config").then(lastsText);
    const lasts = await this.#lasts.catch(() => {
      this.#lasts = undefined;
      return "";
    });
    const title = pool === DEFAULT_POOL ? "Add a backend" : `Add a backend to ${pool}`;
    this.#dialogs.add.open(
      title,
      `Traffic reaches it at once. ${lasts}`.trim(),
      (backend) => this.#send(pathOf(pool), { method: "POST", body: backend }),
    );
  }

  /**
   * @param {string} path of the backend
   * @param {BackendStatus} backend
   * @param {readonly BackendStatus[]} backends of its pool
   */
  #askForWeight(path, backend, backends) {
    const others = backends.filter((each) => each !== backend).reduce((sum, { weight }) => sum + weight, 0);
    const note = backends.length === 1
      ? ""
      : `The other ${countOf(backends.length - 1, "backend")} have ${others} together.`;
    this.#dialogs.weight.open(backend, note, (weight) => this.#change(path, { weight }));
  }

  /**
   * @param {string} path of the backend
   * @param {object} changes
   */
  #change(path, changes) {
    return this.#send(path, { method: "PATCH", body: changes });
  }

  /**
   * The response arrives when the backend is removed. Until then its row says that it drains, and the page does not
   * wait.
   *
   * @param {string} path of the backend
   * @param {BackendStatus} backend
   */
  async #drainAndRemove(path, { url }) {
    let isAwaited = true;
    const removal = this.#send(`${path}?drain=${DRAIN}`, { method: "DELETE" }).catch((error) => {
      if (isAwaited) throw error;
      this.failedLater(`${url} was not removed`, error instanceof Error ? error.message : String(error));
    });
    await Promise.race([removal, new Promise((resolve) => setTimeout(resolve, ANSWER_MS))]);
    isAwaited = false;
  }

  /**
   * @param {string} path
   * @param {{ method: string, body?: unknown }} request
   */
  async #send(path, request) {
    await this.#api.call(path, request);
    await this.changed().catch(() => {}); // if it fails, the figures arrive with the next second
  }
}

/**
 * How long a change lasts.
 *
 * @param {{ admin: { persist: boolean }, cluster: unknown }} config
 */
function lastsText({ admin, cluster }) {
  if (cluster !== null && cluster !== undefined) return "All replicas get it, and it outlives restarts and reloads.";
  if (admin.persist) return "It is written to the configuration file too.";
  return "It lasts until the next restart or reload, which returns to the configuration file.";
}

/**
 * The path of a pool's backends in the admin API.
 *
 * @param {string} pool
 */
function pathOf(pool) {
  return pool === DEFAULT_POOL ? "backends" : `pools/${pool}/backends`;
}

/**
 * @param {BackendStatus} backend
 * @param {readonly BackendStatus[]} backends of its pool
 */
function lastOneWarning(backend, backends) {
  const isTaking = takingTraffic(backends).includes(backend);
  const remaining = takingTraffic(backends.filter((each) => each !== backend));
  return isTaking && remaining.length === 0 ? "No other backend can take traffic: every new request will get 503." : "";
}

/** @param {number} connections */
function inFlightText(connections) {
  if (connections === 0) return "No requests are in flight there now.";
  return `${countOf(connections, "request")} in flight there ${connections === 1 ? "finishes" : "finish"}.`;
}
