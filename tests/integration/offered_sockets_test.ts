// An upgrade asks all workers for their sockets. One that hung kept it, and all clients of the others, for ever.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { closeDescriptors } from "../../src/net/shared_port.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const HANGING_WORKER = new URL("../support/hanging_worker.ts", import.meta.url);

/** The status of an answer, on a connection of its own. `undefined`: none in time. */
async function ask(port: number, target = "/"): Promise<number | undefined> {
  using client = await RawClient.connect(port);
  const answer = client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const late = new Promise<undefined>((resolve) =>
    AbortSignal.timeout(1000).addEventListener("abort", () => resolve(undefined))
  );
  return (await Promise.race([answer.catch(() => undefined), late]))?.status;
}

Deno.test("a worker that hangs makes an upgrade fail in time, and the others serve on", async () => {
  await using backend = HttpBackend.named("served");
  const settings = { engine: "wire" as const, proxy: { workers: 2 }, backends: [backend.url] };
  await using proxy = await TestProxy.start(settings, { workerUrl: HANGING_WORKER });
  const { roundhouse, port } = proxy;
  await ask(port, "/hang");
  const begunAt = performance.now();
  const error = await assertRejects(() => roundhouse.offerSockets(), Error, "no answer of worker ");
  assert(/worker [12] in 5 s$/.test(error.message), error.message);
  assert(performance.now() - begunAt < 15_000);
  await roundhouse.resume();
  // The kernel divides clients among workers: some of these come to the one that works.
  await waitFor(async () => await ask(port) === 200, { what: "an answer of the other worker" });

  await roundhouse.settled(); // it hangs no more
  const sockets = await roundhouse.offerSockets();
  assertEquals(sockets?.map(({ use, address }) => [use, address]), [
    ["proxy", "127.0.0.1:0"],
    ["proxy", "127.0.0.1:0"],
    ["admin", "127.0.0.1:0"],
  ]);
  await closeDescriptors(sockets?.map(({ descriptor }) => descriptor) ?? []);
  await roundhouse.resume();
  for (let asked = 0; asked < 8; asked++) assertEquals(await ask(port), 200);
});
