import { assert, assertEquals, assertRejects } from "@std/assert";
import { claimPort } from "../../../src/workers/port_claim.ts";

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

Deno.test("claimPort() refuses a port that others listen on, even if they would share it", async () => {
  for (const reusePort of [false, true]) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort });
    const { port } = listener.addr;
    await assertRejects(() => claimPort({ hostname: "127.0.0.1", port }), Deno.errors.AddrInUse);
  }
});

Deno.test("claimPort() makes those who claim at the same moment take turns, so that the second meets the first", async () => {
  // Both looked, found nobody, and both served the port.
  const at = { hostname: "127.0.0.1", port: freePort() };
  const outcomes = await Promise.allSettled([1, 2].map(async () => {
    using _claim = await claimPort(at);
    await new Promise((resolve) => setTimeout(resolve, 20)); // as a worker takes its time
    return Deno.listen({ ...at, reusePort: true });
  }));
  const listeners = outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
  const refused = outcomes.flatMap((outcome) => outcome.status === "rejected" ? [outcome.reason] : []);
  assertEquals([listeners.length, refused.length], [1, 1]);
  assert(refused[0] instanceof Deno.errors.AddrInUse);
  listeners[0]?.close();
});
