/** The routes for the status, liveness and readiness. */

import { eligibleBackends } from "../../balancing/load_balancer.ts";
import type { Config } from "../../config/schema.ts";
import type { Memory } from "../../memory/memory.ts";
import type { ServerPool } from "../../pool/server_pool.ts";
import type { Route } from "../guard.ts";
import { AdminError } from "../admin_error.ts";
import { answerJson, backendView } from "../view.ts";

/** What does not change while roundhouse runs. */
export interface Facts {
  /** As the configuration spells it. */
  readonly strategy: string;
  readonly engine: Config["engine"];
  /** Isolates that serve the port. */
  readonly workers: number;
}

/** What these routes show. */
export interface StatusSource {
  readonly pool: ServerPool;
  /** Has the counts of the process. */
  readonly memory: Memory;
  readonly version: string;
  readonly startedAt: Date;
  readonly facts: () => Facts;
  /** Whether a graceful stop has begun. */
  readonly isStopping: () => boolean;
  /** Whether every listener can accept clients. */
  readonly allAccepting: () => boolean;
}

/** `GET /status`, `GET /healthz`, `GET /readyz`. */
export function statusRoutes(source: StatusSource): readonly Route[] {
  return [
    { path: "/status", methods: { GET: { answer: () => answerJson(statusView(source)) } } },
    { path: "/healthz", needsNoToken: true, methods: { GET: { answer: () => answerJson({ status: "ok" }) } } },
    { path: "/readyz", needsNoToken: true, methods: { GET: { answer: () => readiness(source) } } },
  ];
}

/** The object of `GET /status`. */
export function statusView({ pool, memory, version, startedAt, facts }: StatusSource) {
  return {
    version,
    startedAt: startedAt.toISOString(),
    // The system clock may have been set back.
    uptimeSeconds: Math.max(0, Date.now() - startedAt.getTime()) / 1000,
    ...facts(),
    requests: memory.requestTotals(),
    backends: pool.backends.map(backendView),
  };
}

function readiness({ pool, isStopping, allAccepting }: StatusSource): Response {
  if (isStopping()) throw new AdminError(503, "roundhouse is stopping");
  if (!allAccepting()) throw new AdminError(503, "a listener can't accept clients");
  if (eligibleBackends(pool.backends).length === 0) throw new AdminError(503, "no backend is eligible");
  return answerJson({ status: "ready" });
}
