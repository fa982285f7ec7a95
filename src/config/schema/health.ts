/** `health` and `passive`: what checks and requests tell about a backend. */
import * as z from "zod";
import { duration, flag, fraction, headerMap, probeMethod, probePath, statusRanges, text, whole } from "../fields.ts";
import { inUnits, setting } from "../setting.ts";

export const health = inUnits(z.strictObject({
  type: setting(z.enum(["http", "tcp", "none"]), "http", "The kind of check. For `tcp`, a connection is enough."),
  path: setting(
    probePath.nullable(),
    null,
    "The path to ask for, with an optional query. It begins with `/`. `null`: `/`, with a wider `health.status`.",
    { secret: "in-query", more: "It is percent-encoded, and follows the backend's base path." },
  ),
  method: setting(probeMethod, "GET", "The method of the check, in capitals. Not CONNECT and not TRACE."),
  status: setting(
    statusRanges.nullable(),
    null,
    "The statuses that pass: numbers and ranges from 100 to 599, with commas. `null`: `200-399`, or `200-499` where " +
      "no `health.path` is set.",
    { more: "Without a path, `/` may want a login or not exist although the backend is well." },
  ),
  body: setting(
    text(/[^]/, "text that is not empty, or null").nullable(),
    null,
    "A text that the first 64 KiB of the response body must contain. `null` for any body.",
    { more: "It can't be set with HEAD." },
  ),
  headers: setting(headerMap, {}, "The headers sent with each check, by name.", { secret: "by-name" }),
  port: setting(
    whole(1, 65535, ", or null").nullable(),
    null,
    "The port that is checked. `null` for the backend's own port.",
  ),
  tls: setting(flag.nullable(), null, "Whether `http` checks use TLS. `null`: as the backend's URL says.", {
    more:
      "An example is `false` for a plain `health.port` of an HTTPS backend. The backend's `tls` settings hold for " +
      "checks, too.",
  }),
  interval: setting(duration(1), "5s", "The time from the start of one check to the start of the next."),
  timeout: setting(duration(1), "2s", "The longest time for one check."),
  jitter: setting(fraction(0, 1), 0.1, "The part of the interval by which each check is moved at random."),
  healthyThreshold: setting(whole(1, 1000), 1, "How many checks in a row must pass before a backend is up."),
  unhealthyThreshold: setting(whole(1, 1000), 1, "How many checks in a row must fail before a backend is down."),
  startUp: setting(
    flag,
    true,
    "`true`: backends of the file count as up until a check fails. `false`: as down until one passes.",
  ),
  failOpen: setting(
    flag,
    false,
    "Whether all backends serve while checks have taken every one of them out.",
    {
      more: "Checks are then more likely to be wrong than every backend. An event, " +
        "[`fail-open`](admin-api.md#get-events), and a log line tell of it.",
    },
  ),
  slowStart: setting(
    duration(0),
    "0s",
    "The time over which the weight of a new or returning backend rises from one tenth. `0s`: off.",
    { more: "It rises in ten steps." },
  ),
}));

export const passive = inUnits(z.strictObject({
  connectFailures: setting(
    whole(0, 1000),
    1,
    "How many failed connections in a row mark a backend down until a check passes. 0: never.",
    {
      more: "With `health.type` `none`, the backend is down for `passive.ejectFor`, and the last eligible one never.",
    },
  ),
  serverErrors: setting(
    whole(0, 1_000_000),
    0,
    "How many 5xx responses and failed attempts within `passive.window` eject a backend. 0: off.",
    { more: "It is ejected whatever checks say." },
  ),
  window: setting(duration(1), "10s", "The time over which server errors are counted."),
  ejectFor: setting(
    duration(1),
    "10s",
    "How long an ejected backend stays out. Repeated ejections last up to ten times as long.",
    { more: "An ejection is repeated when it comes within ten times this after the last. It lasts twice as long." },
  ),
  maxEjected: setting(fraction(0, 1), 1, "The most backends that are ejected at a time, as a part of all.", {
    more: "Only ejections for `passive.serverErrors` count. The number is rounded down.",
  }),
}));
