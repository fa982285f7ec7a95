/**
 * The guards: who may come, how often, and with what proof. They stand at the top level for all requests, and in an entry of a route for
 * its own.
 */
import * as z from "zod";
import { addressRange, duration, flag, MAX_COUNT, text, whole } from "../fields.ts";
import { bareSetting, inUnits, later, override, setting } from "../setting.ts";
import { auth } from "./auth.ts";

const ranges = z.array(addressRange, "a list of addresses and CIDR ranges").nullable();

/** Whom a rate limit counts together. */
export type RateLimitBy =
  | { readonly kind: "client" | "route" }
  | { readonly kind: "header" | "cookie"; readonly name: string };

const BY_WANTED = `"client", "route", "header:NAME" or "cookie:NAME"`;

const by = z.codec(
  z.union([
    z.enum(["client", "route"], BY_WANTED),
    text(/^(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, BY_WANTED),
  ], BY_WANTED),
  z.custom<RateLimitBy>(),
  {
    decode(written): RateLimitBy {
      if (written === "client" || written === "route") return { kind: written };
      const name = written.slice("header:".length);
      return written.startsWith("header:") ? { kind: "header", name: name.toLowerCase() } : { kind: "cookie", name };
    },
    encode: formatBy,
  },
);

/** As the file spells it. */
export function formatBy(by: RateLimitBy): string {
  return "name" in by ? `${by.kind}:${by.name}` : by.kind;
}

const MOST_REQUESTS = 1_000_000;
const YEAR_MS = 366 * 86_400_000;

const rateLimitKeys = later(() =>
  inUnits(z.strictObject({
    requests: bareSetting(whole(1, MOST_REQUESTS), "How many requests may come in the time `per`."),
    per: setting(duration(1, YEAR_MS), "1s", "The time for so many requests."),
    burst: setting(
      whole(1, MOST_REQUESTS, ", or null").nullable(),
      null,
      "How many requests may come at once. `null`: as many as `requests`.",
    ),
    by: setting(
      by,
      "client",
      "Whose requests are counted together. Without the header or cookie, it is the client; an IPv6 client is its /64.",
    ),
    enforce: setting(flag, true, "Whether requests over the limit get 429. `false`: they are only counted."),
    scope: setting(
      z.enum(["local", "cluster"]),
      "local",
      "Where the limit counts: in this process, with all of its workers, or over all replicas of the `cluster`.",
    ),
  }))
);

export type RateLimitConfig = z.output<typeof rateLimitKeys>;

/** For all requests. */
export const guards = {
  deny: setting(ranges, null, "Addresses and CIDR ranges of clients that get 403. `null`: none."),
  allow: setting(ranges, null, "Addresses and CIDR ranges of the only clients that do not get 403. `null`: all."),
  rateLimit: setting(rateLimitKeys.nullable(), null, "How often requests may come. More get 429. `null`: no limit."),
  concurrency: setting(
    whole(1, MAX_COUNT, ", or null").nullable(),
    null,
    "How many requests may be in flight at a time. More get 503. `null`: no limit.",
  ),
  auth,
};

/** In place of these, for the requests of an entry. Left out: what holds for all requests, and shares its count. */
export const guardsOfRoute = () => ({
  deny: override(guards.deny),
  allow: override(guards.allow),
  rateLimit: override(guards.rateLimit),
  concurrency: override(guards.concurrency),
  auth: override(guards.auth),
});
