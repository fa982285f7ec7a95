/** The pools of a status, in the form that the page and `roundhouse top` show. */

/** @import { BackendStatus, Status } from "./status.d.ts" */

/**
 * @typedef {object} Pool
 * @property {string} name
 * @property {string} strategy
 * @property {readonly BackendStatus[]} backends
 * @property {Status["pools"][string]["source"]} source
 */

/** @type {Pool["source"]} From the file and the admin API. */
const STATIC = { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null };

/** The pool that there always is. */
export const DEFAULT_POOL = "default";

/**
 * The pools that are in use. A configuration with other pools may have no use for `default`, which is empty then.
 *
 * @param {Pick<Status, "strategy" | "backends" | "pools">} status
 * @returns {readonly Pool[]}
 */
export function poolsOf({ strategy, backends, pools }) {
  const others = Object.entries(pools).flatMap(([name, pool]) =>
    name === DEFAULT_POOL ? [] : [{ name, strategy: pool.strategy, backends: pool.backends, source: pool.source }]
  );
  const source = pools[DEFAULT_POOL]?.source ?? STATIC;
  const isUnused = backends.length === 0 && others.length > 0 && source.kind === "static";
  return isUnused ? others : [{ name: DEFAULT_POOL, strategy, backends, source }, ...others];
}
