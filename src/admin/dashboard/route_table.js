/** The table of routes, in the order in which they are matched. */

import { byId, find, setData, setLabel, setPressed, setText, show } from "./dom.js";
import { countOf, formatCount, formatGuards, formatLatency, formatRate } from "./format.js";

/** @import { RouteStatus } from "./status.d.ts" */

/** More rows would slow the page down. */
const MOST_SHOWN = 200;

/** The time range of the rates. */
const RATE_SECONDS = 10;

/** The time range of the counts of errors. */
const ERROR_SECONDS = 60;

/** @typedef {{ readonly at: number, readonly requests: number, readonly refused: number, readonly broken: number }} Sample */

/** The rows, and what the routes have counted before. */
export class RouteTable {
  #card = byId("routes-card");
  #body = byId("routes");
  #more = byId("routes-more");
  #count = byId("routes-count");
  /** @type {Map<string, RouteRow>} By label. */
  #rows = new Map();

  /** @param {(label: string) => void} onChoice called when a reader wants to see the traffic of a route */
  constructor(onChoice) {
    this.#body.addEventListener("click", (event) => {
      const row = event.target instanceof Element ? event.target.closest("tr") : null;
      if (row?.dataset.label !== undefined) onChoice(row.dataset.label);
    });
  }

  /**
   * @param {readonly RouteStatus[]} routes
   * @param {string | undefined} chosen the label of the route whose traffic is shown
   * @param {number} now in seconds
   */
  update(routes, chosen, now) {
    show(this.#card, routes.length > 0);
    setText(this.#count, String(routes.length));
    const shown = routes.slice(0, MOST_SHOWN);
    const labels = new Set(shown.map(({ label }) => label));
    for (const [label, row] of this.#rows) {
      if (labels.has(label)) continue;
      row.element.remove();
      this.#rows.delete(label);
    }
    let index = 0;
    for (const route of shown) {
      let row = this.#rows.get(route.label);
      if (row === undefined) this.#rows.set(route.label, row = new RouteRow(route));
      if (this.#body.children[index] !== row.element) {
        this.#body.insertBefore(row.element, this.#body.children[index] ?? null);
      }
      row.update(route, route.label === chosen, now);
      index++;
    }
    const hidden = routes.length - shown.length;
    setText(this.#more, hidden === 0 ? "" : `… and ${countOf(hidden, "more route")}. GET /routes lists all.`);
    show(this.#more, hidden > 0);
  }
}

class RouteRow {
  /** @type {HTMLElement} */
  element;
  #button;
  /** @type {Map<string, HTMLElement>} */
  #cells = new Map();
  /** @type {Sample[]} Of the last minute. */
  #samples = [];

  /** @param {RouteStatus} route */
  constructor({ route, label }) {
    const template = find(document, "#route-row", HTMLTemplateElement);
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = find(copy, "tr", HTMLElement);
    this.element.dataset.label = label;
    this.#button = find(copy, "button", HTMLButtonElement);
    this.#button.replaceChildren(...withBreaks(route));
    setLabel(this.#button, `Show the traffic of ${label}`);
    for (const cell of copy.querySelectorAll("[data-part]")) {
      if (cell instanceof HTMLElement) this.#cells.set(cell.dataset.part ?? "", cell);
    }
  }

  /**
   * @param {RouteStatus} route
   * @param {boolean} isChosen
   * @param {number} now
   */
  update({ route, name, label, to, requests, responses, latencyMs, refused }, isChosen, now) {
    setPressed(this.#button, isChosen);
    setData(this.element, "chosen", String(isChosen));
    this.#set("name", name ?? label.slice(route.length + 1));
    this.#set("to", to);
    this.#set("guards", formatGuards(requests, refused));
    const figures = requests === null || responses === null
      ? undefined
      : this.#figures({ at: now, requests, refused: responses["4xx"], broken: responses["5xx"] });
    this.#set("rate", formatRate(figures?.perSecond ?? null));
    this.#set("refused", formatCount(figures?.refused ?? null));
    this.#set("broken", formatCount(figures?.broken ?? null));
    setData(this.#cell("broken"), "some", String((figures?.broken ?? 0) > 0));
    this.#set("p50", formatLatency(latencyMs?.p50 ?? null));
    this.#set("p95", formatLatency(latencyMs?.p95 ?? null));
  }

  /** @param {Sample} sample */
  #figures(sample) {
    const last = this.#samples.at(-1);
    if (last !== undefined && last.requests > sample.requests) this.#samples = []; // the server has restarted
    this.#samples.push(sample);
    while ((this.#samples[0]?.at ?? sample.at) < sample.at - ERROR_SECONDS) this.#samples.shift();
    const since = this.#samples.find(({ at }) => at >= sample.at - RATE_SECONDS) ?? sample;
    const [oldest = sample] = this.#samples;
    return {
      perSecond: since.at === sample.at ? null : (sample.requests - since.requests) / (sample.at - since.at),
      refused: sample.refused - oldest.refused,
      broken: sample.broken - oldest.broken,
    };
  }

  /** @param {string} name */
  #cell(name) {
    const cell = this.#cells.get(name);
    if (cell === undefined) throw new Error(`a row has no cell ${name}`);
    return cell;
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #set(name, text) {
    setText(this.#cell(name), text);
  }
}

/**
 * A key, with a place to break the line before each slash.
 *
 * @param {string} key
 */
function withBreaks(key) {
  return key.split(/(?=\/)/).flatMap((part) => [document.createElement("wbr"), part]).slice(1);
}
