/** What is the matter beside the backends: sources of lists, certificates, and the store that replicas share. */

import { countOf, formatAgo, formatDuration } from "./format.js";
import { poolsOf } from "./pools.js";

/** @import { Status } from "./status.d.ts" */
/** @import { Pool } from "./pools.js" */

/**
 * @typedef {object} Trouble
 * @property {string} headline
 * @property {string} subject what it is about
 * @property {string} text
 */

/**
 * The worst comes first.
 *
 * @param {Pick<Status, "strategy" | "backends" | "pools" | "cluster" | "certificates">} status
 * @param {number} now in milliseconds since 1970, on the server's clock
 * @returns {readonly Trouble[]}
 */
export function troublesOf(status, now) {
  const pools = poolsOf(status);
  return [
    ...pools.flatMap((pool) => sourceTrouble(pool, pools.length === 1, now)),
    ...certificateTroubles(status, now),
    ...clusterTroubles(status, now),
  ];
}

/**
 * Certificates that end soon, or that could not be renewed.
 *
 * @param {Pick<Status, "certificates">} status
 * @param {number} now
 * @returns {readonly Trouble[]}
 */
function certificateTroubles({ certificates }, now) {
  return certificates.filter(({ endsSoon, error }) => endsSoon || error !== null).map((certificate) => {
    const { names, expires, endsSoon, error } = certificate;
    const [name = "the proxy"] = names;
    const leftSeconds = (Date.parse(expires) - now) / 1000;
    const end = leftSeconds <= 0 ? "has expired" : `expires in ${formatDuration(leftSeconds)}`;
    return {
      headline: `The certificate for ${name} ${endsSoon ? end : "could not be renewed"}`,
      subject: name,
      text: `certificate ${end}${error === null ? "" : `: ${error}`}`,
    };
  });
}

/**
 * @param {Pool} pool
 * @param {boolean} isOnly
 * @param {number} now
 * @returns {readonly Trouble[]}
 */
function sourceTrouble({ name, source }, isOnly, now) {
  if (source.ok) return [];
  const who = isOnly ? "The pool" : `Pool ${name}`;
  const has = source.lastSuccess === null ? "has no list of backends yet" : "goes by an old list of backends";
  return [{ headline: `${who} ${has}`, subject: isOnly ? source.kind : `pool ${name}`, text: sourceText(source, now) }];
}

/**
 * Where the backends of a pool come from, and how old the list is; empty: from the file and the admin API.
 *
 * @param {Pool["source"]} source
 * @param {number} now
 */
export function sourceText({ kind, ok, lastSuccess, staleSince, error }, now) {
  if (kind === "static") return "";
  if (ok) return `from ${kind}`;
  const since = staleSince === null ? "" : ` for ${formatDuration((now - Date.parse(staleSince)) / 1000)}`;
  const what = lastSuccess === null ? `no answer${since}` : `stale${since}`;
  return `from ${kind}, ${what}${error === null ? "" : `: ${error}`}`;
}

/**
 * @param {Pick<Status, "cluster">} status
 * @param {number} now
 * @returns {readonly Trouble[]}
 */
function clusterTroubles({ cluster }, now) {
  if (cluster === null) return [];
  const { up, disagreements } = cluster;
  const troubles = [];
  if (!up) {
    const headline = "The store of the replicas is away: changes are refused";
    troubles.push({ headline, subject: "cluster", text: storeText(cluster, now) });
  }
  if (disagreements > 0) {
    const what = countOf(disagreements, "backend");
    const text = `${what} ${disagreements === 1 ? "is" : "are"} up for some and down for others`;
    troubles.push({ headline: `The replicas disagree about ${what}`, subject: "cluster", text });
  }
  return troubles;
}

/**
 * Whether the store of the replicas is there, and since when it is not.
 *
 * @param {{ readonly up: boolean, readonly lastSuccess: string | null, readonly error: string | null }} cluster
 * @param {number} now
 */
export function storeText({ up, lastSuccess, error }, now) {
  if (up) return "store connected";
  const last = lastSuccess === null
    ? "never reached"
    : `last reached ${formatAgo((now - Date.parse(lastSuccess)) / 1000)}`;
  return `store away, ${last}${error === null ? "" : `: ${error}`}`;
}
