/** `retries` and `queue`: what happens to a request that can't be served at once. */
import * as z from "zod";
import { duration, fraction, whole } from "../fields.ts";
import { inUnits, setting } from "../setting.ts";

export const retries = z.strictObject({
  attempts: setting(whole(0, 100), 2, "The most further backends that a request is tried on."),
  budget: setting(
    fraction(0, 1),
    0.2,
    "Over 10 s, retries stay below this part of the requests, plus 10.",
  ),
  statuses: setting(
    z.array(whole(400, 599)),
    [],
    "The response statuses after which a repeatable request is tried on another backend.",
  ),
});

export const queue = inUnits(z.strictObject({
  size: setting(
    whole(0, 1_000_000),
    1024,
    "The most requests that wait while every eligible backend is at its `maxConnections`. 0: no queue.",
    { more: "More get 503." },
  ),
  timeout: setting(duration(0), "1s", "The longest wait in the queue. Then the client gets 503."),
  hold: setting(
    duration(0),
    "3s",
    "How long after the last eligible backend was marked down requests wait for one to come back. `0s`: not at all.",
    { more: "`queue.timeout` does not apply meanwhile. `queue.size` does." },
  ),
}));
