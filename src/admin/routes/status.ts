/** The routes for the status, liveness and readiness. */

import * as z from "zod";
import { eligibleBackends } from "../../balancing/load_balancer.ts";
import type { DeepReadonly } from "../../config/fields.ts";
import { DEFAULT_POOL_NAME } from "../../config/pool_settings.ts";
import type { Config } from "../../config/schema.ts";
import { GUARD_NAMES, type GuardName } from "../../errors.ts";
import type { Memory } from "../../memory/memory.ts";
import { NO_ROUTE } from "../../memory/route_counts.ts";
import type { CertificateState } from "../../tls/store.ts";
import { MOST_CERTIFICATES, statusAnswer } from "../answers.ts";
import { jsonAnswer } from "../description.ts";
import type { Route } from "../guard.ts";
import { AdminError } from "../admin_error.ts";
import type { AdminPools } from "../admin_pool.ts";
import { answerJson, backendView } from "../view.ts";
import { clusterSummary } from "../cluster_view.ts";
import type { ClusterTarget } from "./cluster.ts";
import { poolsView } from "./pools.ts";

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
  /** `undefined`: there is none. */
  readonly cluster: ClusterTarget["cluster"];
  readonly pools: AdminPools;
  /** At most so many that clients get, or all; the one that ends first is the first. */
  readonly certificates: (most?: number) => readonly CertificateState[];
  /** As of the last reload. */
  readonly configInForce: () => Pick<Config, "routes" | GuardName>;
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

const alive = z.object({ status: z.literal("ok") }).meta({ title: "Alive" });
const ready = z.object({ status: z.literal("ready") }).meta({ title: "Ready" });

/** The object of `GET /status`. */
type StatusView = DeepReadonly<z.output<typeof statusAnswer>>;

/** `GET /status`, `GET /healthz`, `GET /readyz`. */
export function statusRoutes(source: StatusSource): readonly Route[] {
  return [
    {
      path: "/status",
      methods: {
        GET: {
          about: {
            summary: "Totals, and the state of every backend",
            answers: [jsonAnswer(statusAnswer, "The status")],
          },
          answer: () => answerJson(statusView(source)),
        },
      },
    },
    {
      path: "/healthz",
      needsNoToken: true,
      methods: {
        GET: {
          about: { summary: "Whether the process runs", answers: [jsonAnswer(alive, "It runs")] },
          answer: () => answerJson({ status: "ok" } satisfies z.output<typeof alive>),
        },
      },
    },
    {
      path: "/readyz",
      needsNoToken: true,
      methods: {
        GET: {
          about: {
            summary: "Whether it can accept clients and a backend is eligible",
            answers: [jsonAnswer(ready, "It is ready")],
            refusals: [503],
          },
          answer: () => readiness(source),
        },
      },
    },
  ];
}

/** The object of `GET /status`. */
export function statusView(source: StatusSource): StatusView {
  const { pools, cluster, memory, version, startedAt, facts, certificates } = source;
  return {
    version,
    startedAt: startedAt.toISOString(),
    // The system clock may have been set back.
    uptimeSeconds: Math.max(0, Date.now() - startedAt.getTime()) / 1000,
    ...facts(),
    requests: memory.requestTotals(),
    ...refusals(source),
    backends: pools.default.pool.backends.map(backendView),
    pools: poolsView(pools),
    cluster: cluster === undefined ? null : clusterSummary(cluster.status()),
    certificates: certificates(MOST_CERTIFICATES).map((certificate) => ({
      names: [...certificate.names],
      expires: certificate.expires.toISOString(),
      source: certificate.source,
      endsSoon: certificate.endsSoon,
      error: certificate.error ?? null,
    })),
  };
}

/** Where there are routes, each of them has its own counts. */
function refusals({ configInForce, memory }: StatusSource): Pick<StatusView, "refused"> {
  const config = configInForce();
  const guards = config.routes === null ? GUARD_NAMES.filter((name) => config[name] !== null) : [];
  if (guards.length === 0) return {};
  return { refused: Object.fromEntries(guards.map((name) => [name, memory.routes.refused(NO_ROUTE, name)])) };
}

function readiness({ pools, configInForce, isStopping, allAccepting }: StatusSource): Response {
  if (isStopping()) throw new AdminError(503, "roundhouse is stopping");
  if (!allAccepting()) throw new AdminError(503, "a listener can't accept clients");
  const awaited = pools.all().find(({ awaitsSource }) => awaitsSource);
  if (awaited !== undefined) throw new AdminError(503, `no list of the backends of pool ${awaited.name} yet`);
  const names = poolsInUse(configInForce().routes);
  const isEligible = names.some((name) => eligibleBackends(pools.get(name)?.pool.backends ?? []).length > 0);
  if (names.length > 0 && !isEligible) throw new AdminError(503, "no backend is eligible");
  return answerJson({ status: "ready" } satisfies z.output<typeof ready>);
}

/** The pools that requests can go to. */
function poolsInUse(routes: Config["routes"]): readonly string[] {
  if (routes === null) return [DEFAULT_POOL_NAME];
  const sides = Object.values(routes).flat().flatMap(({ pool }) => Object.entries(pool ?? {}));
  return [...new Set(sides.filter(([, weight]) => weight > 0).map(([name]) => name))];
}
