/** The routes that show the pools. Their backends are in `backends.ts`. */

import type * as z from "zod";
import { type DeepReadonly, formatStrategy } from "../../config/fields.ts";
import { type AdminPool, type AdminPools, poolNamed, type SourceState } from "../admin_pool.ts";
import { poolAnswer, poolsAnswer } from "../answers.ts";
import { jsonAnswer } from "../description.ts";
import type { AdminContext, Route } from "../guard.ts";
import { answerJson, backendView } from "../view.ts";

/** What these routes show. */
export interface PoolsSource {
  readonly pools: AdminPools;
}

/** A pool, as `GET /status` shows it. */
export type PoolView = DeepReadonly<z.output<typeof poolAnswer>>;

/** `/pools` and `/pools/{pool}`. */
export function poolRoutes({ pools }: PoolsSource): readonly Route[] {
  const named = (context: AdminContext) => poolNamed(pools, context.req.param("pool") ?? "");
  return [
    {
      path: "/pools",
      methods: {
        GET: {
          about: { summary: "All pools by name", answers: [jsonAnswer(poolsAnswer, "The pools")] },
          answer: () => answerJson(poolsView(pools)),
        },
      },
    },
    {
      path: "/pools/:pool",
      find: named,
      methods: {
        GET: {
          about: { summary: "One pool", answers: [jsonAnswer(poolAnswer, "The pool")] },
          answer: (context) => answerJson(poolView(named(context))),
        },
      },
    },
  ];
}

/** All pools by name. */
export function poolsView(pools: AdminPools): Readonly<Record<string, PoolView>> {
  return Object.fromEntries(pools.all().map((pool) => [pool.name, poolView(pool)]));
}

function poolView({ pool, config, source }: AdminPool): PoolView {
  return {
    strategy: formatStrategy(config.strategy),
    backends: pool.backends.map(backendView),
    source: sourceView(source),
  };
}

function sourceView(source: SourceState | undefined): PoolView["source"] {
  if (source === undefined) return { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null };
  const { lastSuccess, staleSince } = source;
  return {
    ...source,
    lastSuccess: lastSuccess?.toISOString() ?? null,
    staleSince: staleSince?.toISOString() ?? null,
  };
}
