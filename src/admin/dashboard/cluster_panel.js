/** The other replicas, and the backends about which they disagree. */

import { byId, create, setData, setText, show } from "./dom.js";
import { countOf, formatAgo, formatCount } from "./format.js";
import { DEFAULT_POOL } from "./pools.js";
import { storeText } from "./troubles.js";

/** @import { ClusterStatus } from "./status.d.ts" */

/** A replica that has said nothing for so long is probably gone. */
const SILENT_MS = 15_000;

/** More rows would slow the page down. */
const MOST_SHOWN = 100;

/**
 * @param {ClusterStatus | null} cluster
 * @param {number} now in milliseconds since 1970, on the server's clock
 */
export function showCluster(cluster, now) {
  show(byId("cluster-card"), cluster !== null);
  if (cluster === null) return;
  setText(byId("cluster-count"), String(cluster.replicas.length));
  const store = byId("cluster-store");
  setText(
    store,
    `${storeText(cluster, now)} · ${countOf(cluster.changes.length, "shared change")}${localText(cluster)}`,
  );
  setData(store, "up", String(cluster.up));
  byId("replicas").replaceChildren(...cluster.replicas.slice(0, MOST_SHOWN).map((replica) => rowOf(replica, cluster)));
  showDisagreements(cluster);
}

/** @param {ClusterStatus} cluster */
function localText({ local }) {
  return local.length === 0 ? "" : `, ${formatCount(local.length)} of this replica alone`;
}

/**
 * @param {ClusterStatus["replicas"][number]} replica
 * @param {ClusterStatus} cluster
 */
function rowOf({ id, self, admin, version, ageMs, changes, health }, cluster) {
  const name = create("th", "", create("span", "url", admin || id));
  name.setAttribute("scope", "row");
  name.role = "rowheader";
  if (self) name.append(" ", create("span", "tag", "this one"));
  const words = Object.values(health ?? {}).flatMap((backends) => Object.values(backends));
  const down = words.filter((word) => word === "down").length;
  const row = create(
    "tr",
    "",
    name,
    cell("Version", version),
    cell("Last word", self ? "now" : formatAgo(ageMs / 1000)),
    cell("Changes", changes >= cluster.version ? "up to date" : "behind"),
    cell(
      "Backends",
      health === null ? "–" : down === 0 ? "all up" : `${down} of ${countOf(words.length, "backend")} down`,
    ),
  );
  row.role = "row";
  row.dataset.silent = String(!self && ageMs > SILENT_MS);
  return row;
}

/**
 * @param {string} label
 * @param {string} text
 */
function cell(label, text) {
  const element = create("td", "", text);
  element.role = "cell";
  element.dataset.label = label;
  return element;
}

/** @param {ClusterStatus} cluster */
function showDisagreements({ disagreements, replicas }) {
  const names = new Map(replicas.map(({ id, self, admin }) => [id, self ? "this one" : admin || id]));
  const list = (/** @type {readonly string[]} */ ids) => ids.map((id) => names.get(id) ?? id).join(", ");
  show(byId("disagreements"), disagreements.length > 0);
  byId("disagreements").replaceChildren(
    ...disagreements.slice(0, MOST_SHOWN).map(({ pool, backend, up, down }) => {
      const where = pool === DEFAULT_POOL ? "" : ` (pool ${pool})`;
      return create("li", "", create("span", "url", backend), `${where}: up for ${list(up)}; down for ${list(down)}`);
    }),
  );
}
