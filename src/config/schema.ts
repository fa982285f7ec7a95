/** The one schema of the configuration file. Each section has a file in `schema/`, where its settings stand. */
import * as z from "zod";
import type { DeepReadonly } from "./fields.ts";
import { admin } from "./schema/admin.ts";
import { backends } from "./schema/backend.ts";
import { sticky, strategy } from "./schema/balancing.ts";
import { cluster } from "./schema/cluster.ts";
import { guards } from "./schema/guards.ts";
import { discover } from "./schema/discover.ts";
import { headers } from "./schema/headers.ts";
import { health, passive } from "./schema/health.ts";
import { log } from "./schema/log.ts";
import { mirror } from "./schema/mirror.ts";
import { pools, type ResolvedPool, withInherited } from "./schema/pools.ts";
import { proxy } from "./schema/proxy.ts";
import { queue, retries } from "./schema/retries.ts";
import { type RouteEntry, routes } from "./schema/routes.ts";
import { timeouts } from "./schema/timeouts.ts";
import { ENGINES, section, setting } from "./setting.ts";

export { normaliseBackendUrl } from "./backend_url.ts";
export type { Discover } from "./schema/discover.ts";
export type { StrategyConfig } from "./fields.ts";
export { backendFields, backendList, type BackendSpec, backendSpecSchema, PLAIN_TLS } from "./schema/backend.ts";

const file = z.strictObject({
  $schema: z.string().optional().meta({
    description: "Where an editor finds this schema; means nothing to roundhouse.",
  }),
  proxy: section(proxy, "The server that forwards requests."),
  admin: section(admin, "The server that shows and changes the pool."),
  backends,
  discover,
  strategy,
  sticky,
  engine: setting(z.enum(ENGINES), "fetch", "How bytes move between clients and backends.", { restart: true }),
  health: section(health, "Checks of each backend at an interval."),
  passive: section(passive, "What requests tell about a backend's health."),
  timeouts: section(timeouts, "Limits of time, as durations or whole milliseconds."),
  retries: section(retries, "When a request is tried on another backend."),
  queue: section(queue, "Where requests wait while every eligible backend is at its maxConnections."),
  headers: section(headers, "Headers set and removed on the way."),
  ...guards,
  mirror,
  log: section(log, "What is logged."),
  cluster,
  pools,
  routes,
});

interface Resolved extends Omit<z.output<typeof file>, "$schema" | "pools" | "routes"> {
  /** All pools but `default`, with what they inherit. */
  readonly pools: Readonly<Record<string, ResolvedPool>>;
  /** By key as written. `null`: everything goes to `default`. */
  readonly routes: Readonly<Record<string, readonly RouteEntry[]>> | null;
}

/** The schema of the whole file. Reading `{}` with it gives the defaults; `z.encode` gives the file's words back. */
export const configSchema = z.codec(file, z.custom<Resolved>(), {
  decode({ $schema: _, pools = {}, routes = null, ...top }): Resolved {
    const resolved = Object.entries(pools).map(([name, own]) => [name, withInherited(name, own, top)] as const);
    return { ...top, pools: Object.fromEntries(resolved), routes };
  },
  encode({ pools, routes, ...top }) {
    return {
      ...top,
      // A pool gets everything that counts for it, so that it means the same whatever it inherits.
      ...Object.keys(pools).length === 0 ? {} : { pools: { ...pools } },
      ...routes === null ? {} : { routes: { ...routes } },
    };
  },
});

/** What the file may say: everything optional, durations and sizes as text or whole numbers. */
export type ConfigFile = z.input<typeof configSchema>;

/**
 * What the code sees: complete, read-only, durations in whole milliseconds (`...Ms`) and sizes in bytes (`...Bytes`).
 */
export type Config = DeepReadonly<z.output<typeof configSchema>>;

/** How clients stick to a backend; `null` where they do not. */
export type StickyConfig = Config["sticky"];

/** How active checks are made. */
export type HealthConfig = Config["health"];

/** The file's format as JSON Schema (draft 2020-12), for editors: 2-space indent, a newline at the end. */
export function jsonSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: "input", target: "draft-2020-12" });
  const about = { title: "roundhouse configuration", description: "Comments and trailing commas are allowed." };
  return `${JSON.stringify({ $schema, ...about, ...rest }, null, 2)}\n`;
}
