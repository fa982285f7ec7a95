/** The row above the backends of a pool, where there are several pools. */

import { find, setData, setLabel, setPressed, setText, show } from "./dom.js";
import { countOf, formatCount, formatRate } from "./format.js";
import { sourceText } from "./troubles.js";
import { takingTraffic } from "./verdict.js";

/** @import { BackendTraffic } from "./history.js" */
/** @import { Pool } from "./pools.js" */

/** One pool's row. */
export class PoolRow {
  /** @type {HTMLElement} */
  element;
  #fold;
  #chart;
  #figures;
  #errors;
  #source;
  #add;
  #isFolded;

  /**
   * @param {Pool} pool
   * @param {boolean} isFolded
   */
  constructor({ name }, isFolded) {
    const template = find(document, "#pool-row", HTMLTemplateElement);
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = find(copy, "tr", HTMLElement);
    this.element.dataset.pool = name;
    this.#fold = find(copy, "[data-action=fold]", HTMLButtonElement);
    this.#chart = find(copy, "[data-action=chart]", HTMLButtonElement);
    this.#figures = find(copy, "[data-part=figures]", HTMLElement);
    this.#errors = find(copy, "[data-part=errors]", HTMLElement);
    this.#source = find(copy, "[data-part=source]", HTMLElement);
    this.#add = find(copy, "[data-action=add]", HTMLButtonElement);
    setText(this.#fold, name);
    setLabel(this.#fold, `Pool ${name}`);
    setLabel(this.#chart, `Show the traffic of pool ${name}`);
    setLabel(this.#add, `Add a backend to pool ${name}`);
    this.#isFolded = isFolded;
    this.isFolded = isFolded;
  }

  /** Whether its backends are hidden. */
  get isFolded() {
    return this.#isFolded;
  }

  set isFolded(isFolded) {
    this.#isFolded = isFolded;
    this.#fold.ariaExpanded = String(!isFolded);
  }

  /**
   * @param {Pool} pool
   * @param {ReadonlyMap<string, BackendTraffic>} traffic
   * @param {boolean} isChosen
   * @param {number} now in milliseconds since 1970, on the server's clock
   */
  update({ strategy, backends, source }, traffic, isChosen, now) {
    let perSecond = 0;
    let serverErrors = 0;
    for (const { id } of backends) {
      perSecond += traffic.get(id)?.perSecond ?? 0;
      serverErrors += traffic.get(id)?.serverErrors ?? 0;
    }
    const taking = takingTraffic(backends).length;
    const able = `${taking} of ${countOf(backends.length, "backend")} ${taking === 1 ? "takes" : "take"} traffic`;
    setText(this.#figures, `${strategy} · ${able} · ${formatRate(perSecond)}/s`);
    setText(this.#errors, serverErrors === 0 ? "" : `${formatCount(serverErrors)} × 5xx`);
    show(this.#errors, serverErrors > 0);
    setText(this.#source, sourceText(source, now));
    setData(this.#source, "ok", String(source.ok));
    show(this.#source, source.kind !== "static");
    show(this.#add, source.kind === "static"); // the source alone adds and removes backends
    setData(this.element, "idle", String(taking === 0));
    setPressed(this.#chart, isChosen);
  }
}
