/** The lines above the tables: what runs, what it does, and what is wrong. */

import { countOf, formatCount, formatDuration, formatRate } from "../../admin/dashboard/format.js";
import { poolsOf } from "../../admin/dashboard/pools.js";
import type { Status } from "../../admin/dashboard/status.d.ts";
import { verdictOf } from "../../admin/dashboard/verdict.js";
import { printable } from "../admin_call.ts";
import type { Line } from "./layout.ts";
import type { View } from "./view.ts";

const GAP = "  ";
const LEVEL_STYLES = { ok: "good", warning: "warning", bad: "bad" } as const;

/** Most reasons, because the table must have room. It has no room for reasons on a narrow terminal. */
const MOST_DETAILS = 5;

export function summary(view: View): Line[] {
  return [headline(view.status), totals(view), [], ...situation(view), []];
}

function headline(status: Status): Line {
  const { version, strategy, engine, workers, uptimeSeconds } = status;
  const pools = poolsOf(status);
  const facts = [
    pools.length === 1 ? strategy : countOf(pools.length, "pool"),
    `engine ${engine}`,
    countOf(workers, "worker"),
    `up for ${formatDuration(uptimeSeconds)}`,
    ...clusterFacts(status),
  ];
  return [{ text: `roundhouse ${version}`, style: "bold" }, { text: GAP + facts.join(", "), style: "faint" }];
}

/** A short mark for the other replicas. */
function clusterFacts({ cluster }: Status): string[] {
  if (cluster === null) return [];
  return [cluster.up ? countOf(cluster.replicas, "replica") : "store away"];
}

function totals({ status: { requests }, history, lost }: View): Line {
  const figures = [
    `${formatRate(lost === undefined ? history.perSecond : null)} requests/s`,
    `${formatCount(requests.active)} in flight`,
    `${formatCount(requests.queued)} queued`,
    countOf(requests.total, "request"),
    `${formatCount(requests.failed)} failed`,
    `${formatCount(requests.retried)} retried`,
  ];
  return [{ text: figures.join(GAP) }];
}

/** How things are, or that this is not known at present. */
function situation(view: View): Line[] {
  if (view.lost !== undefined) {
    const since = new Date(view.now).toTimeString().slice(0, 8);
    return [
      [{ text: "Not connected. Trying again…", style: "bad" }],
      [{ text: `${GAP}${printable(view.lost)}` }],
      [{ text: `${GAP}What follows is from ${since}.`, style: "faint" }],
    ];
  }
  const { level, headline, details } = verdictOf(view.status, view.now);
  return [
    [{ text: headline, style: LEVEL_STYLES[level] }],
    ...details.slice(0, MOST_DETAILS).map(({ url, text }): Line => [
      { text: `${GAP}${printable(url)}${GAP}` },
      { text: printable(text), style: LEVEL_STYLES[level] },
    ]),
  ];
}
