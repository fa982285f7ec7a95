/** Sums the pool up in one sentence, and lists its problems. */

import { countOf, formatAgo, formatDuration } from "./format.js";

/** @import { BackendStatus, Status } from "./status.d.ts" */
/** @import { BackendTraffic } from "./history.js" */

/**
 * @typedef {object} Verdict
 * @property {"ok" | "warning" | "bad"} level
 * @property {string} headline
 * @property {readonly { readonly url: string, readonly text: string }[]} details the backends to look at
 */

/**
 * @param {Status} status
 * @param {ReadonlyMap<string, BackendTraffic>} traffic
 * @param {number} now in milliseconds since 1970, on the server's clock
 * @returns {Verdict}
 */
export function verdictOf({ backends }, traffic, now) {
  const down = backends.filter((backend) => !backend.alive);
  const failing = backends.filter((backend) => backend.alive && isFailing(backend, traffic.get(backend.id)));
  const details = [
    ...down.map((backend) => ({ url: backend.url, text: reasonOf(backend, now) })),
    ...failing.map((backend) => ({ url: backend.url, text: failingText(backend, traffic.get(backend.id)) })),
  ];
  const taking = takingTraffic(backends);
  if (backends.length === 0) return { level: "bad", headline: "The pool is empty: every request gets 503", details };
  if (taking.length === 0) {
    const why = down.length === backends.length ? "Every backend is down" : "No backend takes traffic";
    return { level: "bad", headline: `${why}: requests get 503`, details };
  }
  if (down.length > 0) {
    const headline = `${down.length} of ${countOf(backends.length, "backend")} ${
      down.length === 1 ? "is" : "are"
    } down`;
    return { level: "bad", headline, details };
  }
  if (failing.length > 0) {
    const headline = `${countOf(failing.length, "backend")} ${failing.length === 1 ? "is" : "are"} up, but failing`;
    return { level: "warning", headline, details };
  }
  return { level: "ok", headline: quietHeadline(backends, taking.length), details };
}

/**
 * @param {readonly BackendStatus[]} backends
 * @param {number} taking
 */
function quietHeadline(backends, taking) {
  if (backends.length === 1) return "The backend is up and takes traffic";
  if (taking === backends.length) return `All ${backends.length} backends are up and take traffic`;
  return `All ${backends.length} backends are up; ${taking} of them ${taking === 1 ? "takes" : "take"} traffic`;
}

/**
 * The backends that new requests go to. As in the balancer, these are `backup` backends if no other can serve.
 *
 * @param {readonly BackendStatus[]} backends
 */
export function takingTraffic(backends) {
  const able = backends.filter(({ alive, state, weight }) => alive && state === "active" && weight > 0);
  const first = able.filter(({ backup }) => !backup);
  return first.length > 0 ? first : able;
}

/**
 * The text for health and state beside the name of a backend.
 *
 * @param {BackendStatus} backend
 * @returns {{ readonly kind: "up" | "down" | "draining" | "disabled", readonly text: string }}
 */
export function healthOf({ alive, state }) {
  if (!alive) return { kind: "down", text: "Down" };
  if (state !== "active") return { kind: state, text: state === "draining" ? "Draining" : "Disabled" };
  return { kind: "up", text: "Up" };
}

/**
 * How long the present health has lasted, and why.
 *
 * @param {BackendStatus} backend
 * @param {number} now in milliseconds since 1970
 */
export function reasonOf({ alive, state, lastChange, lastCheck }, now) {
  const since = lastChange === null ? null : (now - Date.parse(lastChange.at)) / 1000;
  if (!alive) {
    if (lastChange?.to === "down") return `${lastChange.reason}, ${formatAgo(since ?? 0)}`;
    if (lastCheck !== null && !lastCheck.ok) return checkFailure(lastCheck);
    return "no check has passed yet";
  }
  if (lastChange === null || since === null) return "";
  if (lastChange.to === "up" && state !== "active") {
    return `up again for ${formatDuration(since)}: ${lastChange.reason}`;
  }
  const word = lastChange.to === "active" ? "enabled" : lastChange.to;
  return `${word} for ${formatDuration(since)}: ${lastChange.reason}`;
}

/**
 * @param {NonNullable<BackendStatus["lastCheck"]>} check
 */
export function checkFailure({ status, error }) {
  return error ?? `check failed${status === null ? "" : ` with status ${status}`}`;
}

/**
 * Problems of a backend that still counts as up.
 *
 * @param {BackendStatus} backend
 * @param {BackendTraffic | undefined} traffic
 */
function isFailing({ lastCheck }, traffic) {
  return lastCheck?.ok === false || (traffic?.recentFailures ?? 0) > 0;
}

/**
 * @param {BackendStatus} backend
 * @param {BackendTraffic | undefined} traffic
 */
function failingText({ lastCheck }, traffic) {
  const texts = [];
  if (lastCheck?.ok === false) texts.push(`last check: ${checkFailure(lastCheck)}`);
  const failures = traffic?.recentFailures ?? 0;
  if (failures > 0) texts.push(`${countOf(failures, "attempt")} failed in the last minute`);
  return texts.join("; ");
}
