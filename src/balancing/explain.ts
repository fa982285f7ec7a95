/** Tells which backend a request would get, and why. Changes nothing. */

import type { Config } from "../config/schema.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { eligibleBackends, LoadBalancer } from "./load_balancer.ts";
import { formatStrategy } from "../config/fields.ts";
import { strategyFactory } from "./registry.ts";
import type { Stickiness } from "./sticky.ts";

/** A request that could be made. */
export interface SupposedRequest {
  /** The client's address. */
  readonly client: string;
  /** Path and query. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What the answer says about one backend. */
export interface ExplainedBackend {
  readonly id: string;
  readonly url: string;
  readonly eligible: boolean;
  /** Why it is eligible, or why not. */
  readonly reason: string;
  readonly weight: number;
  /** Its share of the traffic among the eligible backends, by weight and slow start: 0 to 1. */
  readonly share: number;
  readonly currentConnections: number;
  readonly maxConnections: number | null;
  readonly latencyMs: number | null;
}

export interface Explanation {
  /** The backend that the request would get; `null`: none is eligible, or none has room. */
  readonly backend: { readonly id: string; readonly url: string } | null;
  readonly reason: string;
  readonly strategy: string;
  readonly backends: readonly ExplainedBackend[];
}

/** Tells what would happen to `request` now. Takes no turn and binds no session. */
export function explain(
  pool: ServerPool,
  config: Config["strategy"],
  stickiness: Stickiness | undefined,
  request: SupposedRequest,
): Explanation {
  const header = (name: string) => request.headers[name];
  const session = stickiness?.peek({ client: request.client, secure: false, header });
  const bound = session !== undefined && session.usable && session.state !== "disabled" ? session : undefined;
  const context = { takeTurn: () => pool.shared.cells.turn, random: Math.random };
  const balancer = new LoadBalancer(pool, strategyFactory(config), context);
  const accepts = (backend: Backend) => backend.hasRoom;
  const chosen = bound ?? balancer.pick({ client: request.client, target: request.target, header, accepts });
  const eligible = eligibleBackends(pool.backends);
  const total = eligible.reduce((sum, backend) => sum + backend.effectiveWeight, 0);
  return {
    backend: chosen === undefined ? null : { id: chosen.id, url: chosen.url },
    reason: reasonFor(chosen, bound, session, eligible),
    strategy: formatStrategy(config),
    backends: pool.backends.map((backend) => ({
      id: backend.id,
      url: backend.url,
      eligible: eligible.includes(backend),
      reason: standingOf(backend, eligible),
      weight: backend.weight,
      share: eligible.includes(backend) ? backend.effectiveWeight / total : 0,
      currentConnections: backend.currentConnections,
      maxConnections: backend.maxConnections,
      latencyMs: backend.latencyMs,
    })),
  };
}

function reasonFor(
  chosen: Backend | undefined,
  bound: Backend | undefined,
  session: Backend | undefined,
  eligible: readonly Backend[],
): string {
  if (bound !== undefined) return bound.hasRoom ? "its session" : "its session; it waits for the backend to have room";
  if (chosen === undefined) {
    return eligible.length === 0 ? "no backend is eligible" : "all eligible backends are full: it waits in the queue";
  }
  return session === undefined ? "the strategy's choice" : "the strategy's choice, since its session's backend is out";
}

function standingOf(backend: Backend, eligible: readonly Backend[]): string {
  if (!backend.usable) return `down: ${backend.lastChange?.reason ?? "no check has passed yet"}`;
  if (backend.state !== "active") return `state is ${backend.state}`;
  if (backend.weight === 0) return "weight is 0";
  if (!backend.alive) return "down, as all are: they serve all the same (health.failOpen)";
  if (!eligible.includes(backend)) return "a backup, and others are eligible";
  return backend.hasRoom ? "eligible" : "eligible, but at maxConnections";
}
