/** Where the requests of each route are counted. */

import type { Config } from "../config/schema.ts";
import { limitNames } from "../guards/limit_names.ts";
import type { Memory } from "../memory/memory.ts";
import { OTHER_ROUTES } from "../memory/route_counts.ts";
import type { SlotUse } from "../memory/slots.ts";
import { routeLabels } from "../routing/routes.ts";

/** Decides it, and what guards count. Returns the routes that have counts of their own, by label. */
export function assignRoutes(memory: Memory, config: Config): ReadonlyMap<string, SlotUse> {
  const { routes } = config;
  const labels = routeLabels(routes);
  const entries = Object.values(routes ?? {}).flat();
  memory.limits.assign(limitNames(config, entries.map((entry, index) => [labels[index] ?? "", entry])));
  memory.routes.assign(labels);
  const places = memory.routes.find(labels);
  return new Map(
    labels.flatMap((label, index) => {
      const place = places[index];
      return place === undefined || place === OTHER_ROUTES ? [] : [[label, place]];
    }),
  );
}
