/** `pools`: pools beside `default`, and what they inherit from the top level. */
import * as z from "zod";
import { cookieName, text } from "../fields.ts";
import { bareSetting, inUnits, later, orDefaults, override, overrides, setting } from "../setting.ts";
import { backendList } from "./backend.ts";
import { type Sticky, stickyKeys, strategy, toSticky } from "./balancing.ts";
import { discover } from "./discover.ts";
import { health, passive } from "./health.ts";
import { queue } from "./retries.ts";

/** The name of a pool beside `default`. */
const poolName = text(/^(?!default$)[a-z0-9-]{1,63}$/, `1 to 63 of a-z, 0-9 and -, other than "default"`);

const stickyOverrides = () =>
  overrides(stickyKeys.in, ["by", "timeout", "sameSite", "secure", "domain", "path"]).extend({
    cookie: bareSetting(
      cookieName.nullable().optional(),
      "The name of the cookie. `null`: `roundhouse-`, then the pool's name.",
    ),
  });

const pool = later(() =>
  z.strictObject({
    backends: setting(
      backendList,
      [],
      "The pool's servers. Each is a URL, or an object with the keys of a backend.",
      { more: "The same URL in two pools is two backends, each with its own health, counts and id." },
    ),
    discover,
    strategy: override(strategy),
    sticky: inUnits(stickyOverrides()).nullable().optional().meta({
      description:
        "Sessions of this pool. null: none. Default: the top level's, with the pool's name behind the cookie's.",
    }),
    health: orDefaults(inUnits(overrides(health.in, allKeys(health.in))), () => health.parse({}), inherited("Checks")),
    passive: orDefaults(
      inUnits(overrides(passive.in, allKeys(passive.in))),
      () => passive.parse({}),
      inherited("What requests tell about a backend's health"),
    ),
    queue: orDefaults(
      inUnits(overrides(queue.in, allKeys(queue.in))),
      () => queue.parse({}),
      inherited("Where requests wait"),
    ),
  })
);

export const pools = bareSetting(
  z.record(poolName, pool).optional(),
  "Pools beside `default`, by name. Routes lead to them.",
  {
    more: "The top level describes the pool `default`. The others inherit its `health`, `passive` and `queue` key by " +
      "key, and its `strategy` and `sticky` whole. `null` stands for the default.",
  },
);

/** What the file says of a pool. */
type WrittenPool = z.output<typeof pool>;

/** All settings of a pool, inherited ones among them. */
export interface ResolvedPool {
  readonly backends: z.output<typeof backendList>;
  readonly discover: z.output<typeof discover>;
  readonly strategy: z.output<typeof strategy>;
  readonly sticky: Sticky | null;
  readonly health: z.output<typeof health>;
  readonly passive: z.output<typeof passive>;
  readonly queue: z.output<typeof queue>;
}

/** Puts what the top level says where a pool says nothing. */
export function withInherited(
  name: string,
  own: WrittenPool,
  top: Omit<ResolvedPool, "backends" | "discover">,
): ResolvedPool {
  return {
    backends: own.backends,
    discover: own.discover,
    strategy: own.strategy ?? top.strategy,
    sticky: own.sticky === undefined ? inheritedSessions(name, top.sticky) : ownSessions(name, own.sticky),
    health: over(top.health, own.health),
    passive: over(top.passive, own.passive),
    queue: over(top.queue, own.queue),
  };
}

/** Two pools on one page would overwrite each other's cookie if both had the same name. */
function inheritedSessions(name: string, top: Sticky | null): Sticky | null {
  return top?.by === "cookie" ? { ...top, cookie: `${top.cookie}-${name}` } : top;
}

function ownSessions(name: string, own: NonNullable<WrittenPool["sticky"]> | null): Sticky | null {
  if (own === null) return null;
  const defaults = stickyKeys.parse({});
  return toSticky({
    ...over(defaults, { ...own, cookie: undefined }),
    cookie: own.cookie ?? `${defaults.cookie}-${name}`,
  });
}

/** A section with the settings that another one has in place of its own. */
function over<T extends object>(top: T, own: { readonly [K in keyof T]?: T[K] | undefined } = {}): T {
  return { ...top, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) };
}

function inherited(what: string): string {
  return `${what}. Settings that are left out are the top level's. null: the default of each.`;
}

function allKeys<T extends z.ZodObject>(kind: T): (keyof T["shape"] & string)[] {
  return Object.keys(kind.shape);
}
