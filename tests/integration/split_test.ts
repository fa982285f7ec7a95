// A client of a split stays at its side: over reloads, over workers, after a restart and at every replica. That was only
// tested of one split in one isolate.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";

const CLIENTS = Array.from({ length: 400 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);

/** The side of each client, asked over several connections, which several workers may have. */
async function sidesAt(port: number, pace = 8): Promise<string[]> {
  const sides: string[] = [];
  const ask = async (first: number) => {
    using client = await RawClient.connect(port);
    for (let index = first; index < CLIENTS.length; index += pace) {
      const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${CLIENTS[index]}\r\n\r\n`);
      assert(response !== undefined);
      sides[index] = new TextDecoder().decode(response.body);
    }
  };
  await Promise.all(Array.from({ length: pace }, (_, first) => ask(first)));
  return sides;
}

function countOf(sides: readonly string[], side: string): number {
  return sides.filter((one) => one === side).length;
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: a client stays at its side over reloads, workers, restarts and replicas`, async () => {
    await using a = HttpBackend.named("a");
    await using b = HttpBackend.named("b");
    await using c = HttpBackend.named("b");
    const settingsFor = (workers: number, more: ConfigFile = {}): ConfigFile => ({
      engine,
      proxy: { workers, trustForwarded: ["127.0.0.1"] },
      pools: { blue: { backends: [a.url] }, green: { backends: [b.url] } },
      routes: { "*/*": { pool: { blue: 70, green: 30 } } },
      ...more,
    });
    const settings = settingsFor(2);
    await using proxy = await TestProxy.start(settings);
    const before = await sidesAt(proxy.port);
    assert(countOf(before, "b") > 80 && countOf(before, "b") < 160, `${countOf(before, "b")} of 400 for 30 %`);
    assertEquals(await sidesAt(proxy.port, 3), before, "other connections");

    // The same weights: other backends of the side, the same shares, another order, other settings of the route.
    settings.pools = { green: { backends: [c.url, b.url] }, blue: { backends: [a.url] } };
    settings.routes = { "*/*": { pool: { green: 3, blue: 7 }, timeouts: { response: "9s" } }, "x/other": "green" };
    await proxy.roundhouse.reload();
    settings.routes = { "*/*": { pool: { green: 3, blue: 7 } } };
    await proxy.roundhouse.reload();
    assertEquals(await sidesAt(proxy.port), before, "after reloads");

    await using replica = await TestProxy.start(settingsFor(1));
    assertEquals(await sidesAt(replica.port), before, "another process with one worker");

    // Other weights: exactly as many move as the side has gained, all of them to it, at every replica the same.
    settings.routes = { "*/*": { pool: { blue: 50, green: 50 } } };
    await proxy.roundhouse.reload();
    const body = JSON.stringify({ route: "*/*", entry: 0, pool: { blue: 50, green: 50 } });
    const patched = await fetch(`${replica.adminUrl}/routes`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body,
    });
    assertEquals(patched.status, 200, await patched.text());
    const after = await sidesAt(proxy.port);
    assertEquals(await sidesAt(replica.port), after, "after a reload, and after PATCH /routes");
    const moved = after.filter((side, index) => side !== before[index]);
    assertEquals([moved.length, countOf(moved, "b")], Array(2).fill(countOf(after, "b") - countOf(before, "b")));
    assert(moved.length > 0);

    settings.routes = { "*/*": { pool: { blue: 70, green: 30 } } };
    await proxy.roundhouse.reload();
    assertEquals(await sidesAt(proxy.port), before, "the weights are back, and so are the clients");
    await proxy.idle();
  });
}
