/** The table of backends. Rows are changed in place, so that focus and pointer stay where they are. */

import { byId, find, setData, setLabel, setText, show } from "./dom.js";
import { formatAgo, formatCount, formatLatency, formatRate, formatShare } from "./format.js";
import { checkFailure, healthOf, reasonOf } from "./verdict.js";

/** @import { BackendStatus } from "./status.d.ts" */
/** @import { BackendTraffic } from "./history.js" */

/** @typedef {"active" | "draining" | "disabled" | "weight" | "remove"} Action */

/** @type {BackendTraffic} */
const NO_TRAFFIC = { share: null, perSecond: null, failures: 0, recentFailures: 0 };

/** The rows and their buttons. */
export class BackendTable {
  #body = byId("backends");
  #empty = byId("backends-empty");
  #count = byId("backends-count");
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {HTMLButtonElement | undefined} Of this table, as long as the reader has gone nowhere else but a dialog. */
  #focused;

  /** @param {(action: Action, id: string) => void} onAction */
  constructor(onAction) {
    this.#body.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      const id = button?.closest("tr")?.dataset.id;
      if (button !== null && id !== undefined) onAction(/** @type {Action} */ (button.dataset.action), id);
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
   * @param {readonly BackendStatus[]} backends
   * @param {ReadonlyMap<string, BackendTraffic>} traffic
   * @param {number} now in milliseconds since 1970, on the server's clock
   */
  update(backends, traffic, now) {
    const ids = new Set(backends.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    backends.forEach((backend, index) => {
      let row = this.#rows.get(backend.id);
      if (row === undefined) this.#rows.set(backend.id, row = new Row(backend));
      if (this.#body.children[index] !== row.element) {
        this.#body.insertBefore(row.element, this.#body.children[index] ?? null);
      }
      row.update(backend, traffic.get(backend.id) ?? NO_TRAFFIC, now);
    });
    this.#keepFocus();
    show(this.#empty, backends.length === 0);
    setText(this.#count, backends.length === 0 ? "" : String(backends.length));
  }

  /** Keeps the keyboard focus in the row when a button disappears. */
  #keepFocus() {
    const button = this.#focused;
    if (button === undefined || document.querySelector("dialog[open]") !== null) return;
    if (!button.isConnected) byId("add-backend").focus();
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
    this.#offer(backend.state);
  }

  /**
   * @param {BackendStatus} backend
   * @param {BackendTraffic} traffic
   */
  #showTraffic({ currentConnections, maxConnections, latencyMs, totalFailures }, { share, perSecond, failures }) {
    this.#set("share", formatShare(share));
    this.#set("rate", perSecond === null ? "" : `${formatRate(perSecond)}/s`);
    this.#part("bar").style.width = `${Math.round((share ?? 0) * 1000) / 10}%`;
    this.#set("connections", formatCount(currentConnections));
    this.#set("limit", maxConnections === null ? "" : ` of ${formatCount(maxConnections)}`);
    this.#set("latency", formatLatency(latencyMs.p50));
    this.#set("slow-latency", latencyMs.p95 === null ? "" : `p95 ${formatLatency(latencyMs.p95)}`);
    this.#set("failures", formatCount(failures));
    this.#set("all-failures", totalFailures > failures ? `${formatCount(totalFailures)} in all` : "");
    setData(this.#part("failures"), "some", String(failures > 0));
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
   */
  #offer(state) {
    for (const button of this.#buttons) {
      const { action } = button.dataset;
      show(button, action !== state && !(action === "draining" && state === "disabled"));
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
