/** The form that asks which backend a request would get. */

import { byId, create, find } from "./dom.js";
import { formatCount, formatLatency, formatShare } from "./format.js";

/** @import { Explanation } from "../../balancing/explain.ts" */

const FIELDS = ["path", "ip", "header", "cookie"];

/** @param {(path: string) => Promise<Explanation>} call asks the admin API */
export function startExplainForm(call) {
  const form = find(document, "#explain", HTMLFormElement);
  const result = byId("explanation");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const field of FIELDS) {
      const value = find(form, `[name=${field}]`, HTMLInputElement).value.trim();
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
 * @param {Explanation} explanation
 * @returns {Node[]}
 */
function explanation({ backend, reason, strategy, backends }) {
  const outcome = create("p", "outcome");
  if (backend === null) outcome.append(create("strong", "", "No backend"), ` – ${reason}`);
  else outcome.append("It would go to ", create("strong", "url", backend.url), ` – ${reason} (${strategy})`);
  outcome.dataset.found = String(backend !== null);

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
  return [outcome, create("div", "scroll", table)];
}
