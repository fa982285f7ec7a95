/** `timeouts`: limits of time. */
import * as z from "zod";
import { duration } from "../fields.ts";
import { inUnits, setting } from "../setting.ts";

export const timeouts = inUnits(z.strictObject({
  connect: setting(duration(1), "2s", "The longest time to connect to a backend."),
  response: setting(duration(1), "30s", "The longest time from a request's last byte to the head of its response.", {
    more: "Each attempt has this time anew. Then the client gets 504.",
  }),
  request: setting(duration(0), "0s", "The longest time for a request as a whole. `0s`: no limit.", {
    more: "Then the client gets 504, or is cut off if the response has started. Under `fetch`, response bodies then " +
      "pass through JavaScript, which costs CPU time.",
  }),
  shutdown: setting(
    duration(0),
    "30s",
    "How long requests in flight may go on when roundhouse stops. `0s`: not at all.",
  ),
  idle: setting(duration(1), "60s", "The longest time without a byte of a body.", {
    engine: "wire",
    more:
      "Then a client's upload gets 408, and a backend's response is cut off. WebSockets and other tunnels have no " +
      "such limit.",
  }),
  header: setting(duration(1), "10s", "The longest time for a client to send the head of its request.", {
    engine: "wire",
    more: "Then it gets 408.",
  }),
  keepAlive: setting(duration(1), "75s", "How long a client's connection may be idle between requests.", {
    engine: "wire",
  }),
}));
