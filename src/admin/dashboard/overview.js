/** The top of the page: version, verdict and figures. */

import { byId, create, setData, setText, show } from "./dom.js";
import { formatCount, formatDuration, formatGuards, formatRate } from "./format.js";
import { HISTORY_SECONDS } from "./history.js";
import { verdictOf } from "./verdict.js";

/** @import { Status } from "./status.d.ts" */
/** @import { History } from "./history.js" */
/** @import { Total } from "./traffic_feed.js" */
/** @import { Verdict } from "./verdict.js" */

/**
 * @param {Status} status
 * @param {History} history
 * @param {number} now in milliseconds since 1970, on the server's clock
 */
export function showOverview(status, history, now) {
  showFacts(status);
  showVerdict(verdictOf(status, now));
  showTiles(status, history);
  showGuards(status);
}

/** @param {Status} status */
function showFacts({ version, uptimeSeconds, strategy, engine, workers }) {
  setText(byId("strategy"), strategy);
  setText(byId("engine"), engine);
  setText(byId("workers"), String(workers));
  setText(byId("uptime"), formatDuration(uptimeSeconds));
  setText(byId("version"), version);
}

/** @param {Verdict} verdict */
function showVerdict({ level, headline, details }) {
  setData(byId("verdict"), "level", level);
  setText(byId("verdict-headline"), headline);
  const list = byId("verdict-details");
  while (list.children.length > details.length) list.lastElementChild?.remove();
  details.forEach(({ url, text }, index) => {
    const item = list.children[index] ??
      list.appendChild(create("li", "", create("span", "url"), create("span", "why")));
    const [name, why] = item.children;
    if (name !== undefined) setText(name, url);
    if (why !== undefined) setText(why, text);
  });
  const title = level === "ok" ? "roundhouse" : `${level === "bad" ? "✖" : "▲"} ${headline} – roundhouse`;
  if (document.title !== title) document.title = title;
}

/**
 * @param {Status} status
 * @param {History} history
 */
function showTiles({ requests }, history) {
  setText(byId("tile-rate"), formatRate(history.perSecond));
  setText(byId("tile-rate-note"), `${formatCount(requests.total)} in all`);
  setText(byId("tile-active"), formatCount(requests.active));
  const { queued } = requests;
  setText(byId("tile-active-note"), queued === 0 ? "none in the queue" : `${formatCount(queued)} of them in the queue`);
  // A page that was opened less than five minutes ago shows a shorter time.
  const span = formatDuration(Math.min(HISTORY_SECONDS, Math.round(history.seconds)));
  setText(byId("tile-failed-note"), `${formatCount(requests.failed)} in all`);
  setText(byId("tile-retried-label"), `Retried, last ${span}`);
  setText(byId("tile-retried"), formatCount(history.increase("retried")));
  setText(byId("tile-retried-note"), `${formatCount(requests.retried)} in all`);
}

/**
 * What the guards for all requests have let through and refused. Where there are routes, their table tells it.
 *
 * @param {Status} status
 */
function showGuards({ requests, refused }) {
  const text = formatGuards(requests.total, refused);
  show(byId("guards"), text !== "");
  setText(byId("guards"), text);
}

/**
 * Shows how many requests have failed as far as the server remembers.
 *
 * @param {Total} total
 */
export function showFailed({ seconds, failed }) {
  setText(byId("tile-failed-label"), `Failed, last ${formatDuration(seconds)}`);
  setText(byId("tile-failed"), formatCount(failed));
  setData(byId("tile-failed-box"), "some", String(failed > 0));
}
