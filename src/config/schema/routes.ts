/** `routes`: which requests go to which pool, are redirected, or are answered here. */
import * as z from "zod";
import { GUARD_NAMES, type GuardName } from "../../errors.ts";
import { plainForm } from "../../http1/path_form.ts";
import { Location, MalformedLocation } from "../routes/location.ts";
import { hasDotSegment, MalformedKey, parseRouteKey } from "../routes/route_key.ts";
import { type DeepReadonly, text, whole } from "../fields.ts";
import { bareSetting, inUnits, later, orDefaults, override, overrides } from "../setting.ts";
import { guardsOfRoute } from "./guards.ts";
import { headers } from "./headers.ts";
import { mirrorOfRoute } from "./mirror.ts";
import { proxy } from "./proxy.ts";
import { type Respond, respond } from "./respond.ts";
import { retries } from "./retries.ts";
import { timeouts } from "./timeouts.ts";
import { isEmpty, type When, when } from "./when.ts";

/** What keeps a request at its side of a split. */
export type SplitBy =
  | { readonly kind: "client" | "request" }
  | { readonly kind: "header" | "cookie"; readonly name: string };

/** One entry of a route. Exactly one of `pool`, `redirect` and `respond` is not `null`. */
export interface RouteEntry extends RouteOverrides {
  readonly name: string | null;
  readonly when: When | null;
  /** The sides of a split by weight. One pool alone: `{ NAME: 1 }`. */
  readonly pool: Readonly<Record<string, number>> | null;
  readonly splitBy: SplitBy;
  /** The template of a location. */
  readonly redirect: string | null;
  /** Of a redirect. */
  readonly status: number;
  readonly respond: Respond | null;
  readonly stripPrefix: string | null;
  readonly addPrefix: string | null;
}

const WEIGHT = whole(0, 1000);

/** Whether there is such a pool is checked later, when all of them are known. */
const poolName = z.string("the name of a pool");

const split = z.record(poolName, WEIGHT).refine(
  (sides) => Object.values(sides).some((weight) => weight > 0),
  "at least one pool with a weight above 0",
);

const SPLIT_BY_WANTED = `"client", "request", "header:NAME" or "cookie:NAME"`;

const splitBy = z.codec(
  z.union([
    z.enum(["client", "request"], SPLIT_BY_WANTED),
    text(/^(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, SPLIT_BY_WANTED),
  ], SPLIT_BY_WANTED),
  z.custom<SplitBy>(),
  {
    decode(written): SplitBy {
      if (written === "client" || written === "request") return { kind: written };
      const name = written.slice("header:".length);
      return written.startsWith("header:") ? { kind: "header", name: name.toLowerCase() } : { kind: "cookie", name };
    },
    encode: (by) => "name" in by ? `${by.kind}:${by.name}` : by.kind,
  },
);

const PREFIX_WANTED =
  'a path such as "/api/v1": it begins with "/", and has no "/" at its end, query, "//" or dot segments';

/** A path in front of another one. */
const prefix = text(/^(?:\/(?:[!-"$&-.0->@-[\]-~]|%[0-9A-Fa-f]{2})+)+$/, PREFIX_WANTED)
  .refine((path) => !hasDotSegment(plainForm(path)), PREFIX_WANTED);

const DEFAULT_SPLIT_BY: SplitBy = { kind: "client" };
const DEFAULT_REDIRECT_STATUS = 308;
const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;

const timeoutKeys = ["connect", "response", "request", "idle"] as const;
const retryKeys = ["attempts", "statuses"] as const;
const changeKeys = ["set", "remove"] as const;
const { request, response } = headers.shape;

/** What counts for an entry's requests in place of what the top level says. Left out: inherited. */
const overridesOfRoute = () => ({
  timeouts: orDefaults(
    inUnits(overrides(timeouts.in, timeoutKeys)),
    defaultTimeouts,
    "Limits of time. Those left out are the top level's. null: the default of each.",
  ),
  retries: orDefaults(
    overrides(retries, retryKeys),
    defaultRetries,
    "When a request is tried on another backend. What is left out is the top level's. null: the default of each.",
  ),
  headers: orDefaults(
    z.strictObject({
      request: orDefaults(
        overrides(request.unwrap(), changeKeys),
        () => request.parse({}),
        "Changes to what backends get.",
      ),
      response: orDefaults(
        overrides(response.unwrap(), changeKeys),
        () => response.parse({}),
        "Changes to what clients get.",
      ),
    }),
    () => headers.parse({}),
    "Headers set and removed on the way. What is left out is the top level's. null: the default of each.",
  ),
  maxBodySize: override(proxy.in.shape.maxBodySize),
  compression: override(proxy.in.shape.compression),
});

const entryKeys = later(() =>
  z.strictObject({
    name: bareSetting(
      text(/^(?![\s#])[ -~\xa0-\uffff]{1,63}(?<!\s)$/, 'text of 1 to 63 characters that does not begin with "#"')
        .optional(),
      "What figures and logs call the entry, beside the route's key.",
    ),
    when: bareSetting(when.optional(), "What a request has to be for this entry. All of it has to hold."),
    pool: bareSetting(
      z.union([poolName, split], "the name of a pool, or an object with a weight for each pool").optional(),
      "The pool that requests go to, or several with the weight of each: a split.",
    ),
    splitBy: bareSetting(
      splitBy.optional(),
      'What keeps a request at its side of a split. Default: `"client"`; without the header or cookie, it is the client.',
    ),
    redirect: bareSetting(
      text(/[^]/, "a location").superRefine(checkLocation).optional(),
      "Where clients are sent. It may name `{scheme}`, `{host}`, `{path}`, `{query}` and `{uri}`.",
    ),
    status: bareSetting(z.literal(REDIRECT_STATUSES).optional(), "The status of the redirect. Default: 308."),
    respond: bareSetting(respond.optional(), "A response that no backend gives: a status, or an object."),
    stripPrefix: bareSetting(
      prefix.optional(),
      "What is cut off the beginning of the path. `X-Forwarded-Prefix` tells backends.",
    ),
    addPrefix: bareSetting(prefix.optional(), "What is put before the path, after cutting."),
    ...overridesOfRoute(),
    ...guardsOfRoute(),
    mirror: mirrorOfRoute(),
  })
);

type EntryKeys = z.output<typeof entryKeys>;

function defaultTimeouts() {
  const { connectMs, responseMs, requestMs, idleMs } = timeouts.parse({});
  return { connectMs, responseMs, requestMs, idleMs };
}

function defaultRetries() {
  const { attempts, statuses } = retries.parse({});
  return { attempts, statuses };
}

/** The settings of a route in place of the top level's. `undefined` or `null`: inherited. */
export interface RouteOverrides extends
  DeepReadonly<
    & { readonly [Key in "timeouts" | "retries" | "headers"]: NonNullable<EntryKeys[Key]> | null }
    & { maxBodyBytes?: number | null; compression?: boolean }
    & Pick<EntryKeys, GuardName | "mirror">
  > {}

const ACTIONS = ["pool", "redirect", "respond"] as const;

/** Keys that only go with an action. */
const GO_WITH: Readonly<Record<(typeof ACTIONS)[number], readonly (keyof EntryKeys)[]>> = {
  pool: [
    "splitBy",
    "stripPrefix",
    "addPrefix",
    "timeouts",
    "retries",
    "headers",
    "maxBodySize",
    "compression",
    "mirror",
  ],
  redirect: ["status"],
  respond: [],
};

// A route is a list of these as well, and the two must differ when they are turned back into the words of the file.
const entry = z.codec(entryKeys, z.custom<RouteEntry>((value) => !Array.isArray(value)), {
  decode(written, context): RouteEntry {
    const actions = ACTIONS.filter((action) => written[action] !== undefined);
    const [action] = actions;
    const refuse = (message: string, path: string[] = []) =>
      context.issues.push({ code: "custom", message, input: written, path });
    if (action === undefined || actions.length > 1) refuse(`exactly one of "pool", "redirect" and "respond"`);
    else {
      for (const [owner, keys] of Object.entries(GO_WITH)) {
        if (owner === action) continue;
        for (const key of keys) if (written[key] !== undefined) refuse(`"${owner}" in the same entry`, [key]);
      }
    }
    return toEntry(written);
  },
  encode: fromEntry,
});

function toEntry({ maxBodySize, ...written }: EntryKeys): RouteEntry {
  const { name = null, when, pool, splitBy = DEFAULT_SPLIT_BY, redirect = null, respond = null } = written;
  return {
    name,
    when: when === undefined || isEmpty(when) ? null : when as When,
    pool: pool === undefined ? null : typeof pool === "string" ? { [pool]: 1 } : pool,
    splitBy,
    redirect,
    status: written.status ?? DEFAULT_REDIRECT_STATUS,
    respond,
    stripPrefix: written.stripPrefix ?? null,
    addPrefix: written.addPrefix ?? null,
    timeouts: written.timeouts ?? null,
    retries: written.retries ?? null,
    headers: written.headers ?? null,
    ...maxBodySize === undefined ? {} : { maxBodyBytes: maxBodySize },
    ...given(written, ["compression", "mirror", ...GUARD_NAMES]),
  } as RouteEntry;
}

function fromEntry({ pool, splitBy, status, maxBodyBytes, ...entry }: RouteEntry): EntryKeys {
  const sides = Object.entries(pool ?? {});
  const [only] = sides;
  const isOne = sides.length === 1 && only?.[1] === 1;
  return withoutNulls({
    ...entry, // `null` in place of a guard says that there is none
    pool: isOne ? only[0] : pool,
    splitBy: pool === null || splitBy.kind === DEFAULT_SPLIT_BY.kind ? null : splitBy,
    status: entry.redirect === null ? null : status,
    ...maxBodyBytes === undefined ? {} : { maxBodySize: maxBodyBytes },
  }, ["maxBodySize", "mirror", ...GUARD_NAMES]) as EntryKeys;
}

/** Those of the settings that are there. */
function given(settings: EntryKeys, keys: readonly (keyof EntryKeys)[]): object {
  return Object.fromEntries(keys.flatMap((key) => settings[key] === undefined ? [] : [[key, settings[key]]]));
}

function withoutNulls(value: object, except: readonly string[] = []): object {
  return Object.fromEntries(Object.entries(value).filter(([key, inner]) => inner !== null || except.includes(key)));
}

function checkLocation(template: string, context: z.RefinementCtx): void {
  try {
    new Location(template);
  } catch (error) {
    if (!(error instanceof MalformedLocation)) throw error;
    context.addIssue({ code: "custom", message: withoutWant(error) });
  }
}

function checkKey(key: string, context: z.RefinementCtx): void {
  try {
    parseRouteKey(key);
  } catch (error) {
    if (!(error instanceof MalformedKey)) throw error;
    context.addIssue({ code: "custom", message: withoutWant(error) });
  }
}

/** Error lines say `want` themselves. */
function withoutWant({ message }: Error): string {
  return message.replace(/^want /, "");
}

/** A route in the file: the name of a pool, an entry, or a list of these. All read as a list of entries. */
const oneEntry = z.union([poolName, entry], "the name of a pool, or an object");

const route = z.codec(
  z.union(
    [poolName, entry, z.array(oneEntry).min(1, "at least one entry")],
    "the name of a pool, an object, or a list",
  ),
  z.custom<readonly RouteEntry[]>(),
  {
    decode(written) {
      const list = Array.isArray(written) ? written : [written];
      return list.map((one) => typeof one === "string" ? toEntry({ pool: one }) : one);
    },
    encode: (entries) => [...entries],
  },
);

/** The pattern is for editors. It says less than `checkKey`. */
const routeKey = z.string().superRefine(checkKey).meta({ pattern: "^[^/]+/" });

export const routes = bareSetting(
  z.record(routeKey, route).nullable().optional(),
  "Where requests go, by `HOST/PATH`. Without it, everything goes to the pool `default`.",
  {
    more: "The order of the keys never matters. `*` stands for any host, and `/*` ends a path that takes all below it.",
  },
);
