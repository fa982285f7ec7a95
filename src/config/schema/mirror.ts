/** `mirror`: copies of requests for another pool. It stands at the top level, and in an entry of a route. */
import * as z from "zod";
import { type DeepReadonly, fraction, probeMethod, size } from "../fields.ts";
import { bareSetting, inUnits, later, override, setting } from "../setting.ts";

const MOST_BODY_BYTES = 16 * 1024 * 1024;

const mirrorKeys = later(() =>
  inUnits(z.strictObject({
    pool: bareSetting(z.string("the name of a pool"), "The pool that gets the copies."),
    share: setting(fraction(0, 1), 1, "The share of the requests that is copied, chosen at random."),
    maxBody: setting(size(0, MOST_BODY_BYTES), "64KiB", "The largest body that is copied."),
    methods: setting(
      z.array(probeMethod).min(1, "at least one method"),
      ["GET", "HEAD"],
      "Which requests, in capitals.",
    ),
  }))
);

export type MirrorConfig = DeepReadonly<z.output<typeof mirrorKeys>>;

/** For all requests that go to a pool. */
export const mirror = setting(
  mirrorKeys.nullable(),
  null,
  "Copies of requests for another pool, whose answers are dropped. `null`: none.",
);

/** In place of that, for the requests of an entry. */
export const mirrorOfRoute = () => override(mirror);
