/** Which requests are copied to which pool. */
import { DEFAULT_POOL_NAME } from "../pool_settings.ts";
import type { Config } from "../schema.ts";
import { formatPath, type Path } from "../setting_path.ts";

/** Every `mirror` of the file. Paths name entries as if each route were a list. */
export function mirrors({ mirror, routes }: Config): { readonly path: Path; readonly pool: string }[] {
  const ofEntries = Object.entries(routes ?? {}).flatMap(([key, entries]) =>
    entries.map(({ mirror = null }, index) => [["routes", key, index, "mirror"], mirror] as const)
  );
  return [[["mirror"], mirror] as const, ...ofEntries].flatMap(([path, setting]) =>
    setting === null ? [] : [{ path, pool: setting.pool }]
  );
}

/** A line for each place where the backends get requests, and their copies, too. */
export function doubledRequests({ mirror, routes }: Config): string[] {
  const line = (path: Path, shadow: string) =>
    `${formatPath([...path, "mirror"])}: copies go to the pool ${shadow}, which gets the requests, too`;
  if (routes === null) return mirror?.pool === DEFAULT_POOL_NAME ? [line([], mirror.pool)] : [];
  return Object.entries(routes).flatMap(([key, entries]) =>
    entries.flatMap(({ pool, mirror: own = mirror }, index) => {
      if (own === null || pool === null || !pool[own.pool]) return [];
      return [line(entries.length === 1 ? ["routes", key] : ["routes", key, index], own.pool)];
    })
  );
}
