/** The table of backends, by pool. Rows are changed in place, so that focus and pointer stay where they are. */

import { byId, find, setData, setLabel, setText, show } from "./dom.js";
import { formatAgo, formatCount, formatLatency, formatRate, formatShare } from "./format.js";
import { PoolRow } from "./pool_row.js";
import { sourceText } from "./troubles.js";
import { checkFailure, healthOf, reasonOf } from "./verdict.js";

/** @import { BackendStatus } from "./status.d.ts" */
/** @import { BackendTraffic } from "./history.js" */
/** @import { Pool } from "./pools.js" */

/** @typedef {"active" | "draining" | "disabled" | "weight" | "remove"} Action */
/** @typedef {"fold" | "chart" | "add"} PoolAction */

/** @type {BackendTraffic} */
const NO_TRAFFIC = {
  share: null,
  perSecond: 0,
  failures: 0,
  clientErrors: 0,
  serverErrors: 0,
};

/** With more pools than this, those without a problem begin folded. */
const FEW_POOLS = 12;

/** The rows and their buttons. */
export class BackendTable {
  #body = byId("backends");
  #empty = byId("backends-empty");
  #count = byId("backends-count");
  /** @type {Map<string, Row>} By id. */
  #rows = new Map();
  /** @type {Map<string, PoolRow>} By name. */
  #pools = new Map();
  /** @type {HTMLButtonElement | undefined} Of this table, as long as the reader has gone nowhere else but a dialog. */
  #focused;

  /**
   * @param {object} options
   * @param {(action: Action, id: string) => void} options.onAction for a backend
   * @param {(action: "chart" | "add", pool: string) => void} options.onPool
   */
  constructor({ onAction, onPool }) {
    this.#body.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      const { id, pool } = button?.closest("tr")?.dataset ?? {};
      if (button === null) return;
      if (id !== undefined) onAction(/** @type {Action} */ (button.dataset.action), id);
      if (pool === undefined) return;
      const action = /** @type {PoolAction} */ (button.dataset.action);
      if (action === "fold") this.#fold(pool);
      else onPool(action, pool);
    });
    for (const type of ["focusin", "pointerdown"]) {
      document.addEventListener(type, ({ target }) => {
        if (!(target instanceof Element) || target.closest("dialog") !== null) return;
        this.#focused = this.#body.contains(target) ? target.closest("button") ?? undefined : undefined;
      });
    }
    document.addEventListener("close", () => this.#keepFocus(), { capture: true }); // of a dialog; it does not bubble
  }

  /**
   * @param {readonly Pool[]} pools one pool alone has no row of its own
   * @param {ReadonlyMap<string, BackendTraffic>} traffic
   * @param {string | undefined} chosen the pool whose traffic the chart shows
   * @param {number} now in milliseconds since 1970, on the server's clock
   */
  update(pools, traffic, chosen, now) {
    const backends = pools.flatMap((pool) => pool.backends);
    this.#forget(pools, new Set(backends.map(({ id }) => id)));
    let index = 0;
    const place = (/** @type {HTMLElement} */ element) => {
      const there = this.#body.children[index++];
      if (there !== element) this.#body.insertBefore(element, there ?? null);
    };
    for (const pool of pools) {
      const heading = pools.length === 1 ? undefined : this.#headingOf(pool, pools.length > FEW_POOLS);
      if (heading !== undefined) {
        place(heading.element);
        heading.update(pool, traffic, pool.name === chosen, now);
      }
      for (const backend of pool.backends) {
        let row = this.#rows.get(backend.id);
        if (row === undefined) this.#rows.set(backend.id, row = new Row(backend));
        place(row.element);
        const isShown = heading?.isFolded !== true;
        show(row.element, isShown);
        if (isShown) row.update(backend, traffic.get(backend.id) ?? NO_TRAFFIC, now);
        if (isShown) row.offer(backend.state, pool.source.kind === "static");
      }
    }
    this.#keepFocus();
    show(this.#empty, pools.length === 1 && backends.length === 0);
    this.#showSource(pools, now);
    setText(this.#count, backends.length === 0 ? "" : String(backends.length));
  }

  /**
   * Shows where the backends come from, and the button that adds one. With several pools, each has its own.
   *
   * @param {readonly Pool[]} pools
   * @param {number} now
   */
  #showSource([first, ...others], now) {
    const isOnly = first !== undefined && others.length === 0;
    show(byId("add-backend"), isOnly && first.source.kind === "static");
    const text = isOnly ? sourceText(first.source, now) : "";
    setText(byId("source"), text);
    setData(byId("source"), "ok", String(first?.source.ok));
    show(byId("source"), text !== "");
  }

  /**
   * Removes the rows of what is gone.
   *
   * @param {readonly Pool[]} pools
   * @param {ReadonlySet<string>} ids
   */
  #forget(pools, ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    const names = new Set(pools.length === 1 ? [] : pools.map(({ name }) => name));
    for (const [name, row] of this.#pools) {
      if (names.has(name)) continue;
      row.element.remove();
      this.#pools.delete(name);
    }
  }

  /**
   * @param {Pool} pool
   * @param {boolean} areMany
   */
  #headingOf(pool, areMany) {
    let row = this.#pools.get(pool.name);
    if (row === undefined) {
      const isFolded = areMany && pool.backends.every(({ alive }) => alive);
      this.#pools.set(pool.name, row = new PoolRow(pool, isFolded));
    }
    return row;
  }

  /** @param {string} pool */
  #fold(pool) {
    const heading = this.#pools.get(pool);
    if (heading === undefined) return;
    heading.isFolded = !heading.isFolded;
    let row = heading.element.nextElementSibling;
    for (; row instanceof HTMLElement && row.dataset.pool === undefined; row = row.nextElementSibling) {
      show(row, !heading.isFolded);
    }
  }

  /** Keeps the keyboard focus in the row when a button disappears. */
  #keepFocus() {
    const button = this.#focused;
    if (button === undefined || document.querySelector("dialog[open]") !== null) return;
    if (!button.isConnected) find(document, "#add-backend:not([hidden]), #backends button", HTMLButtonElement).focus();
    else if (button.hidden) find(button.parentElement ?? document, "button:not([hidden])", HTMLButtonElement).focus();
  }
}

/** One backend's row. */
class Row {
  /** @type {HTMLElement} */
  element;
  /** @type {Map<string, HTMLElement>} */
  #parts = new Map();
  /** @type {HTMLButtonElement[]} */
  #buttons;

  /** @param {BackendStatus} backend */
  constructor({ id, url }) {
    const template = find(document, "#backend-row", HTMLTemplateElement);
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = find(copy, "tr", HTMLElement);
    this.element.dataset.id = id;
    for (const part of copy.querySelectorAll("[data-part]")) {
      if (part instanceof HTMLElement) this.#parts.set(part.dataset.part ?? "", part);
    }
    this.#buttons = [...copy.querySelectorAll("button")];
    for (const button of this.#buttons) {
      // A screen reader may read only the button, so its label names the backend.
      setLabel(button, `${button.textContent} ${url}`);
    }
    setText(this.#part("url"), url);
  }

  /**
   * @param {BackendStatus} backend
   * @param {BackendTraffic} traffic
   * @param {number} now
   */
  update(backend, traffic, now) {
    const { kind, text } = healthOf(backend);
    setData(this.element, "health", kind);
    this.#set("health", text);
    this.#set("reason", reasonOf(backend, now));
    // The state is shown only if the health does not say the same.
    this.#set("state", backend.alive || backend.state === "active" ? "" : backend.state);
    show(this.#part("backup"), backend.backup);
    this.#showTraffic(backend, traffic);
    this.#showCheck(backend, now);
    this.#set("weight", String(backend.weight));
    setLabel(this.#part("weight"), `Weight ${backend.weight} of ${backend.url}, change`);
  }

  /**
   * @param {BackendStatus} backend
   * @param {BackendTraffic} traffic
   */
  #showTraffic({ currentConnections, maxConnections, latencyMs, totalFailures }, traffic) {
    const { share, perSecond, failures, clientErrors, serverErrors } = traffic;
    this.#set("share", formatShare(share));
    this.#set("rate", `${formatRate(perSecond)}/s`);
    this.#part("bar").style.width = `${Math.round((share ?? 0) * 1000) / 10}%`;
    this.#set("connections", formatCount(currentConnections));
    this.#set("limit", maxConnections === null ? "" : ` of ${formatCount(maxConnections)}`);
    this.#set("latency", formatLatency(latencyMs.p50));
    this.#set("slow-latency", latencyMs.p95 === null ? "" : `p95 ${formatLatency(latencyMs.p95)}`);
    this.#set("failures", formatCount(failures));
    this.#set("all-failures", totalFailures > failures ? `${formatCount(totalFailures)} in all` : "");
    setData(this.#part("failures"), "some", String(failures > 0));
    this.#set("server-errors", formatCount(serverErrors));
    setData(this.#part("server-errors"), "some", String(serverErrors > 0));
    this.#set("client-errors", clientErrors > 0 ? `${formatCount(clientErrors)} × 4xx` : "");
  }

  /**
   * @param {BackendStatus} backend
   * @param {number} now
   */
  #showCheck({ lastCheck }, now) {
    const check = this.#part("check");
    if (lastCheck === null) {
      this.#set("check", "none yet");
      this.#set("check-age", "");
      return setData(check, "ok", "none");
    }
    setData(check, "ok", String(lastCheck.ok));
    this.#set("check", lastCheck.ok ? `passed${lastCheck.status === null ? "" : `, ${lastCheck.status}`}` : "failed");
    check.title = lastCheck.ok ? "" : checkFailure(lastCheck);
    const age = (now - Date.parse(lastCheck.at)) / 1000;
    this.#set("check-age", `${formatAgo(age)}, ${formatLatency(lastCheck.durationMs)}`);
  }

  /**
   * Shows the buttons that change this state.
   *
   * @param {BackendStatus["state"]} state
   * @param {boolean} isRemovable otherwise a source alone removes it
   */
  offer(state, isRemovable) {
    for (const button of this.#buttons) {
      const { action } = button.dataset;
      const isNews = action !== state && !(action === "draining" && state === "disabled");
      show(button, isNews && (action !== "remove" || isRemovable));
    }
  }

  /** @param {string} name */
  #part(name) {
    const part = this.#parts.get(name);
    if (part === undefined) throw new Error(`a row has no part ${name}`);
    return part;
  }

  /**
   * @param {string} name
   * @param {string} text empty: the part is not shown
   */
  #set(name, text) {
    const part = this.#part(name);
    setText(part, text);
    show(part, text !== "");
  }
}
