/** The plain form of `roundhouse top`, for a pipe. Pure. */

import { poolsOf } from "../../admin/dashboard/pools.js";
import { reasonOf } from "../../admin/dashboard/verdict.js";
import { printable } from "../admin_call.ts";
import type { View } from "./view.ts";

/** The titles of the columns. */
export const PLAIN_TITLES = [
  ...["TIME", "POOL", "BACKEND", "HEALTH", "STATE", "SHARE", "REQ/S", "CONNS", "P50_MS", "P95_MS", "REQUESTS", "5XX"],
  ...["FAILURES", "WEIGHT", "WHY"],
].join("\t");

/**
 * One line for each backend, with fields separated by tabs and figures without units. `-` stands for an unknown value.
 * An empty pool is one line too, so that a reader sees that `top` still runs.
 */
export function plainLines({ status, history, now }: Omit<View, "routes">): string[] {
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  const traffic = history.traffic();
  return poolsOf(status).flatMap(({ name, backends }) => {
    if (backends.length === 0) return [[time, name, ...Array(12).fill("-"), "the pool is empty"].join("\t")];
    return backends.map((backend) => {
      const { share = null, perSecond = null } = traffic.get(backend.id) ?? {};
      const fields = [
        time,
        name,
        printable(backend.url),
        backend.alive ? "up" : "down",
        backend.state,
        rounded(share, 3),
        rounded(perSecond, 1),
        backend.currentConnections,
        rounded(backend.latencyMs.p50, 1),
        rounded(backend.latencyMs.p95, 1),
        backend.totalRequests,
        backend.responses["5xx"],
        backend.totalFailures,
        backend.weight,
        printable(reasonOf(backend, now)) || "-",
      ];
      return fields.join("\t");
    });
  });
}

function rounded(value: number | null, places: number): string {
  return value === null ? "-" : String(Number(value.toFixed(places)));
}
