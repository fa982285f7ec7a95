/** The routes that show the pools. Their backends are in `backends.ts`. */

import { formatStrategy } from "../../config/fields.ts";
import { type AdminPool, type AdminPools, poolNamed } from "../admin_pool.ts";
import type { AdminContext, Route } from "../guard.ts";
import { answerJson, type BackendView, backendView } from "../view.ts";

/** What these routes show. */
export interface PoolsSource {
  readonly pools: AdminPools;
}

/** A pool, as `GET /status` shows it. */
export interface PoolView {
  readonly strategy: string;
  readonly backends: readonly BackendView[];
  readonly source: SourceView;
}

/** Where the backends of a pool come from. */
interface SourceView {
  /** `static`: from the configuration file and the admin API. */
  readonly kind: "static";
  readonly ok: boolean;
  readonly lastSuccess: string | null;
  readonly staleSince: string | null;
  readonly error: string | null;
}

/** `/pools` and `/pools/{pool}`. */
export function poolRoutes({ pools }: PoolsSource): readonly Route[] {
  const named = (context: AdminContext) => poolNamed(pools, context.req.param("pool") ?? "");
  return [
    { path: "/pools", methods: { GET: { answer: () => answerJson(poolsView(pools)) } } },
    {
      path: "/pools/:pool",
      find: named,
      methods: { GET: { answer: (context) => answerJson(poolView(named(context))) } },
    },
  ];
}

/** All pools by name. */
export function poolsView(pools: AdminPools): Readonly<Record<string, PoolView>> {
  return Object.fromEntries(pools.all().map((pool) => [pool.name, poolView(pool)]));
}

function poolView({ pool, config }: AdminPool): PoolView {
  return {
    strategy: formatStrategy(config.strategy),
    backends: pool.backends.map(backendView),
    source: { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null },
  };
}
