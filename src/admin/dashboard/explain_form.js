/** The form that asks which backend a request would get. */

import { byId, create, find } from "./dom.js";
import { formatCount, formatLatency, formatShare } from "./format.js";

/** @import { Explanation } from "../../balancing/explain.ts" */
/** @import { RouteExplanation } from "../../routing/explain_route.ts" */

/**
 * @typedef {object} Answer of `GET /explain`
 * @property {Explanation["backend"]} backend
 * @property {string} reason
 * @property {string | null} strategy `null`: no pool was asked
 * @property {Explanation["backends"]} backends
 */

/** @typedef {Answer & Partial<RouteExplanation>} RoutedAnswer with what the routes say, where a URL was asked for */

const FIELDS = ["method", "ip", "header", "cookie"];

/** @param {(path: string) => Promise<RoutedAnswer>} call asks the admin API */
export function startExplainForm(call) {
  const form = find(document, "#explain", HTMLFormElement);
  const result = byId("explanation");
  /** @param {string} name */
  const valueOf = (name) => find(form, `[name=${name}]`, HTMLInputElement).value.trim();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    const target = valueOf("target");
    if (target !== "") query.set(/^https?:/i.test(target) ? "url" : "path", target);
    for (const field of FIELDS) {
      const value = valueOf(field);
      if (value !== "") query.set(field, value);
    }
    try {
      result.replaceChildren(...explanation(await call(`explain?${query}`)));
    } catch (error) {
      result.replaceChildren(create("p", "error", error instanceof Error ? error.message : String(error)));
    }
  });
}

/**
 * @param {RoutedAnswer} answer
 * @returns {Node[]}
 */
function explanation(answer) {
  const { backend, reason, strategy, backends } = answer;
  const outcome = create("p", "outcome");
  if (answer.answer) outcome.append(create("strong", "", answerText(answer.answer)), ` – ${reason}`);
  else if (backend === null) outcome.append(create("strong", "", "No backend"), ` – ${reason}`);
  else outcome.append("It would go to ", create("strong", "url", backend.url), ` – ${reason} (${strategy})`);
  outcome.dataset.found = String(backend !== null || (answer.answer?.status ?? 500) < 400);
  const way = wayOf(answer).map((text) => create("li", "", text));
  const parts = [outcome, ...way.length === 0 ? [] : [create("ol", "way", ...way)]];
  return backends.length === 0 ? parts : [...parts, create("div", "scroll", standings(backend, backends))];
}

/** @param {NonNullable<RouteExplanation["answer"]>} answer */
function answerText({ status, location }) {
  return location === undefined ? `Answered with ${status}` : `Answered with ${status} to ${location}`;
}

/**
 * How the routes lead the request to its pool, in the order in which they are asked; empty if they were not.
 *
 * @param {Partial<RouteExplanation>} answer
 */
function wayOf({ keys, entries, route, split, pool, target }) {
  if (keys === undefined) return [];
  const way = keys.map(({ key, reason }) => `${key}: ${reason}`);
  if (entries !== undefined && entries.length > 1) {
    for (const { entry, name, reason } of entries) way.push(`entry ${name ?? `#${entry}`}: ${reason}`);
  }
  if (route) way.push(`route ${route.key} leads to ${route.to}`);
  if (split) way.push(`side ${split.side} of the split: ${split.reason}`);
  if (pool) way.push(`pool ${pool}; its backend gets ${target}`);
  return way;
}

/**
 * @param {Explanation["backend"]} backend
 * @param {Explanation["backends"]} backends
 */
function standings(backend, backends) {
  const table = create("table", "standings");
  const head = create("tr", "");
  for (const title of ["Backend", "Standing", "Share by weight", "Connections", "Latency"]) {
    const cell = create("th", "", title);
    cell.setAttribute("scope", "col");
    head.append(cell);
  }
  const body = create("tbody", "");
  for (const each of backends) {
    const { url, eligible, share, currentConnections, maxConnections, latencyMs } = each;
    const limit = maxConnections === null ? "" : ` of ${formatCount(maxConnections)}`;
    const row = create(
      "tr",
      "",
      create("td", "url", url),
      create("td", "standing", each.reason),
      create("td", "", eligible ? formatShare(share) : "–"),
      create("td", "", `${formatCount(currentConnections)}${limit}`),
      create("td", "", formatLatency(latencyMs)),
    );
    row.dataset.eligible = String(eligible);
    if (each.id === backend?.id) row.dataset.chosen = "true";
    body.append(row);
  }
  table.append(create("thead", "", head), body);
  return table;
}
