/** Sums the pools up in one sentence, and lists their problems. The page and `roundhouse top` show the same. */

import { countOf, formatAgo, formatCount, formatDuration, formatLatency, formatShare } from "./format.js";
import { poolsOf } from "./pools.js";
import { troublesOf } from "./troubles.js";

/** @import { BackendStatus, Status } from "./status.d.ts" */
/** @import { Pool } from "./pools.js" */

/**
 * @typedef {object} Verdict
 * @property {"ok" | "warning" | "bad"} level
 * @property {string} headline
 * @property {readonly { readonly id: string, readonly url: string, readonly text: string }[]} details the backends to
 * look at, then what else is the matter
 */

/** From this share of 5xx on, the verdict speaks of it, and from the other one on it is bad. */
const SOME_ERRORS = 0.01;
const MANY_ERRORS = 0.1;

/** With fewer answers in the last minute, chance decides how long they take, and who of a pool gets them. */
const ENOUGH_TO_TIME = 10;
const ENOUGH_TO_SHARE = 50;

/** Strategies that give more to some on purpose. */
const UNEVEN = new Set(["least-connections", "least-latency"]);

/** A backend is slow if its median is so many times that of the others, and longer by so much. */
const SLOW_TIMES = 3;
const SLOW_BY_MS = 20;

/** A backend gets too much if its share is this many times what its weight says, and larger by so much. */
const LARGE_TIMES = 1.5;
const LARGE_BY = 0.15;

/**
 * @param {Status} status
 * @param {number} now in milliseconds since 1970, on the server's clock
 * @returns {Verdict}
 */
export function verdictOf(status, now) {
  const { details, ...verdict } = verdictOnBackends(poolsOf(status), now);
  const troubles = troublesOf(status, now);
  const [worst] = troubles;
  if (worst === undefined) return { ...verdict, details };
  const all = [...details, ...troubles.map(({ subject, text }) => ({ id: "", url: subject, text }))];
  return verdict.level === "ok"
    ? { level: "warning", headline: worst.headline, details: all }
    : { ...verdict, details: all };
}

/**
 * @param {readonly Pool[]} pools
 * @param {number} now
 * @returns {Verdict}
 */
function verdictOnBackends(pools, now) {
  const { details, ...verdict } = verdictOn(pools, now);
  if (pools.length === 1) return { ...verdict, details };
  const names = new Map(pools.flatMap(({ name, backends }) => backends.map(({ id }) => [id, name])));
  return {
    ...verdict,
    details: details.map(({ id, url, text }) => ({ id, url, text: `pool ${names.get(id)}: ${text}` })),
  };
}

/**
 * @param {readonly Pool[]} pools
 * @param {number} now
 * @returns {Verdict}
 */
function verdictOn(pools, now) {
  const backends = pools.flatMap((pool) => pool.backends);
  const idle = pools.filter((pool) => takingTraffic(pool.backends).length === 0);
  const ofIdle = new Set(idle.flatMap((pool) => pool.backends));
  // Those that the headline is about come first.
  const down = [...ofIdle, ...backends.filter((backend) => !ofIdle.has(backend))].filter(({ alive }) => !alive);
  const errors = errorsOf(backends);
  const failing = backends.filter((backend) => backend.alive && isFailing(backend));
  const details = [
    ...down.map((backend) => ({ ...named(backend), text: reasonOf(backend, now) })),
    ...failing.map((backend) => ({ ...named(backend), text: failingText(backend) })),
  ];
  if (idle.length > 0) return { level: "bad", headline: idleHeadline(idle, pools), details };
  const share = errorHeadline(errors);
  if (down.length > 0) {
    const headline = `${down.length} of ${countOf(backends.length, "backend")} ${isOrAre(down.length)} down`;
    const more = share === "" ? "" : `, and ${share.slice(0, 1).toLowerCase()}${share.slice(1)}`;
    return { level: "bad", headline: headline + more, details };
  }
  if (share !== "") return { level: errors >= MANY_ERRORS ? "bad" : "warning", headline: share, details };
  if (failing.length > 0) {
    const headline = `${countOf(failing.length, "backend")} ${isOrAre(failing.length)} up, but failing`;
    return { level: "warning", headline, details };
  }
  return unevenVerdict(pools) ?? { level: "ok", headline: quietHeadline(pools, backends), details };
}

/** @param {BackendStatus} backend */
function named({ id, url }) {
  return { id, url };
}

/** @param {number} count */
function isOrAre(count) {
  return count === 1 ? "is" : "are";
}

/**
 * @param {readonly Pool[]} idle pools without a backend that takes traffic
 * @param {readonly Pool[]} pools
 */
function idleHeadline(idle, pools) {
  const [first] = idle;
  if (first === undefined || idle.length > 1) {
    return `${idle.length} of ${pools.length} pools have no backend that takes traffic: their requests get 503`;
  }
  const { name, backends } = first;
  const isOnly = pools.length === 1;
  if (backends.length === 0) {
    return isOnly ? "The pool is empty: every request gets 503" : `Pool ${name} is empty: its requests get 503`;
  }
  const areDown = backends.every((backend) => !backend.alive);
  if (isOnly) return `${areDown ? "Every backend is down" : "No backend takes traffic"}: requests get 503`;
  return `${areDown ? "Every backend" : "No backend"} of pool ${name} ${
    areDown ? "is down" : "takes traffic"
  }: its requests get 503`;
}

/**
 * The share of answers of the last minute that were 5xx.
 *
 * @param {readonly BackendStatus[]} backends
 */
function errorsOf(backends) {
  let answers = 0;
  let serverErrors = 0;
  for (const { lastMinute } of backends) {
    answers += lastMinute.answers;
    serverErrors += lastMinute["5xx"];
  }
  return answers === 0 ? 0 : serverErrors / answers;
}

const NUMBERS = ["", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/**
 * @param {number} share of answers that are 5xx
 * @returns {string} empty: so few that there is nothing to say
 */
function errorHeadline(share) {
  if (share < SOME_ERRORS) return "";
  if (share === 1) return "Every answer is a 5xx";
  if (share > 0.95) return "Almost every answer is a 5xx";
  if (share > 0.85) return "Nine answers in ten are 5xx";
  if (share > 0.71) return "Three answers in four are 5xx";
  if (share > 0.58) return "Two answers in three are 5xx";
  if (share > 0.42) return "Every second answer is a 5xx";
  const times = Math.round(1 / share);
  return `One answer in ${NUMBERS[times] ?? (times < 20 ? times : Math.round(times / 10) * 10)} is a 5xx`;
}

/**
 * One backend that is much slower than the others of its pool, or gets much more than its share.
 *
 * @param {readonly Pool[]} pools
 * @returns {Verdict | undefined}
 */
function unevenVerdict(pools) {
  const slow = pools.flatMap(({ backends }) => backends.flatMap((backend) => slowOne(backend, backends)));
  if (slow.length > 0) {
    const headline = `${countOf(slow.length, "backend")} ${isOrAre(slow.length)} slower than the others`;
    return { level: "warning", headline, details: slow };
  }
  const large = pools.filter(({ strategy }) => !UNEVEN.has(strategy))
    .flatMap(({ backends }) => backends.flatMap((backend) => largeOne(backend, backends)));
  if (large.length === 0) return undefined;
  const headline = large.length === 1
    ? "1 backend gets more than its share"
    : `${countOf(large.length, "backend")} get more than their share`;
  return { level: "warning", headline, details: large };
}

/**
 * @param {BackendStatus} backend
 * @param {readonly BackendStatus[]} backends of its pool
 */
function slowOne({ id, url, lastMinute, latencyMs: { p50 } }, backends) {
  if (lastMinute.answers < ENOUGH_TO_TIME) return [];
  const others = backends.flatMap((other) => other.id === id ? [] : other.latencyMs.p50 ?? []).sort((a, b) => a - b);
  const usual = others[Math.floor(others.length / 2)];
  if (p50 === null || usual === undefined || p50 < usual * SLOW_TIMES || p50 - usual < SLOW_BY_MS) return [];
  return [{
    id,
    url,
    text: `half of its answers take ${formatLatency(p50)} or more, those of the others ${formatLatency(usual)}`,
  }];
}

/**
 * @param {BackendStatus} backend
 * @param {readonly BackendStatus[]} backends of its pool
 */
function largeOne(backend, backends) {
  const taking = takingTraffic(backends);
  const weights = taking.reduce((sum, { weight }) => sum + weight, 0);
  const perSecond = backends.reduce((sum, { lastMinute }) => sum + lastMinute.perSecond, 0);
  const share = backend.lastMinute.perSecond / perSecond;
  const answers = backends.reduce((sum, { lastMinute }) => sum + lastMinute.answers, 0);
  if (perSecond === 0 || weights === 0 || answers < ENOUGH_TO_SHARE) return [];
  const due = taking.includes(backend) ? backend.weight / weights : 0;
  if (share < due * LARGE_TIMES || share < due + LARGE_BY) return [];
  return [{ ...named(backend), text: `takes ${formatShare(share)} of the traffic, ${formatShare(due)} by its weight` }];
}

/**
 * @param {readonly Pool[]} pools
 * @param {readonly BackendStatus[]} backends
 */
function quietHeadline(pools, backends) {
  const taking = pools.reduce((sum, pool) => sum + takingTraffic(pool.backends).length, 0);
  if (backends.length === 1) return "The backend is up and takes traffic";
  const where = pools.length === 1 ? "" : ` of ${pools.length} pools`;
  if (taking === backends.length) return `All ${backends.length} backends${where} are up and take traffic`;
  return `All ${backends.length} backends${where} are up; ${taking} of them ${taking === 1 ? "takes" : "take"} traffic`;
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
 */
export function isFailing({ lastCheck, lastMinute }) {
  return lastCheck?.ok === false || lastMinute.failures > 0 || answersErrors(lastMinute);
}

/** @param {BackendStatus["lastMinute"]} lastMinute */
function answersErrors({ answers, "5xx": serverErrors }) {
  return serverErrors > 0 && serverErrors >= answers * SOME_ERRORS;
}

/**
 * @param {BackendStatus} backend
 */
function failingText({ lastCheck, lastMinute }) {
  const texts = [];
  if (answersErrors(lastMinute)) {
    const { answers, "5xx": serverErrors } = lastMinute;
    texts.push(
      `${formatCount(serverErrors)} of ${countOf(answers, "answer")} in the last minute ${
        serverErrors === 1 ? "was a" : "were"
      } 5xx`,
    );
  }
  if (lastCheck?.ok === false) texts.push(`last check: ${checkFailure(lastCheck)}`);
  const { failures } = lastMinute;
  if (failures > 0) texts.push(`${countOf(failures, "attempt")} failed in the last minute`);
  return texts.join("; ");
}
