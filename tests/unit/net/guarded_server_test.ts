// The server of redirects and of the admin API, at its limit of connections: whom it serves, and who has to leave.

import { assertEquals, assertLess } from "@std/assert";
import type { GuardLimits } from "../../../src/net/guarded_connection.ts";
import { GuardedServer } from "../../../src/net/guarded_server.ts";
import { RecordingLog } from "../../support/log.ts";
import { RawClient } from "../../support/raw_client.ts";
import { waitFor } from "../../support/wait.ts";
import type { CrowdNews, CrowdOrder } from "./crowd_worker.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A server, and clients that are closed with it. */
class Guarded implements AsyncDisposable {
  readonly server: GuardedServer;
  readonly #clients: RawClient[] = [];

  constructor(maxConnections: number, handle: () => Promise<Response> = () => Promise.resolve(new Response("a"))) {
    const limits: GuardLimits = {
      headerMs: 60_000,
      keepAliveMs: 60_000,
      idleMs: 60_000,
      maxConnections,
      maxHeaderBytes: 1024,
    };
    this.server = new GuardedServer({
      hostname: "127.0.0.1",
      port: 0,
      limits,
      log: new RecordingLog(),
      acceptingChanged: () => {},
      handle,
      refuse: (status) => new Response(null, { status }),
      needsHost: true,
    });
  }

  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.server.address.port);
    this.#clients.push(client);
    return client;
  }

  /** A client that has been answered, and of whose next head the server has read a part. */
  async unfinished(): Promise<RawClient> {
    const client = await this.connect();
    assertEquals((await client.request(`${REQUEST}GET / HTTP/1.1\r\n`))?.status, 200);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server.stop(0);
  }
}

async function statusOf(client: RawClient): Promise<number | undefined> {
  return (await client.request(REQUEST).catch(() => undefined))?.status;
}

Deno.test("GuardedServer cuts heads that do not go on before a client that has just come", async () => {
  // Only clients without a byte were cut. While others held unfinished heads, that was whoever had come last.
  await using guarded = new Guarded(3);
  const unfinished = [await guarded.unfinished(), await guarded.unfinished()];
  const [first, second] = [await guarded.connect(), await guarded.connect()];
  assertEquals(await statusOf(second), 200);
  assertEquals(await statusOf(first), 200);
  assertEquals(await unfinished[0]?.closed(), true);
  assertEquals((await unfinished[1]?.request("Host: a\r\n\r\n", "GET"))?.status, 200);
});

Deno.test("GuardedServer serves each of many clients that come at once", async () => {
  // Those at the end of a burst had those before them cut whose requests lay in the system's buffers.
  await using guarded = new Guarded(4);
  const clients = await Promise.all(Array.from({ length: 40 }, () => guarded.connect()));
  const statuses = clients.map(async (client) => {
    const status = await statusOf(client);
    client.close();
    return status;
  });
  assertEquals(new Set(await Promise.all(statuses)), new Set([200]));
});

Deno.test("GuardedServer cuts clients that say nothing, the one that has waited for longest first", async () => {
  await using guarded = new Guarded(3);
  const kept = await guarded.connect();
  const silent = [await guarded.connect(), await guarded.connect()];
  assertEquals(await statusOf(kept), 200);
  const begun = performance.now();
  const next = await guarded.connect();
  assertEquals(await statusOf(next), 200);
  assertLess(performance.now() - begun, 5000); // without a limit it is a minute
  assertEquals(await silent[0]?.closed(), true);
  for (const client of [silent[1], kept]) assertEquals(client && await statusOf(client), 200);
});

Deno.test("GuardedServer has no more connections than its limit: who is being answered is never cut", async () => {
  const release = Promise.withResolvers<void>();
  let most = 0;
  let now = 0;
  await using guarded = new Guarded(2, async () => {
    most = Math.max(most, ++now);
    await release.promise;
    now--;
    return new Response(null);
  });
  using _ = { [Symbol.dispose]: release.resolve };
  const clients = await Promise.all(Array.from({ length: 6 }, () => guarded.connect()));
  const statuses = clients.map(statusOf);
  const [third] = await Promise.all([guarded.connect()]);
  await new Promise((resolve) => setTimeout(resolve, 600)); // longer than anybody is spared
  assertEquals(now, 2);
  release.resolve();
  assertEquals(await statusOf(third), 200);
  assertEquals(new Set(await Promise.all(statuses)), new Set([200]));
  assertEquals(most, 2);
});

Deno.test("GuardedServer holds it against no client that the program itself stood still", async () => {
  await using guarded = new Guarded(2);
  const statuses = Array.from({ length: 12 }, async () => {
    const client = await guarded.connect();
    const status = await statusOf(client);
    client.close();
    return status;
  });
  for (let stall = 0; stall < 6; stall++) {
    for (const end = performance.now() + 300; performance.now() < end;);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assertEquals(new Set(await Promise.all(statuses)), new Set([200]));
});

/** Clients in a thread of their own. */
class Crowd implements Disposable {
  readonly #worker = new Worker(new URL("./crowd_worker.ts", import.meta.url), { type: "module" });

  connect(port: number, clients: number): Promise<CrowdNews> {
    return this.#order({ port, clients });
  }

  /** Each client sends a request. Returns the statuses of the responses when all have come. Blocks until all are sent. */
  request(request: string): Promise<CrowdNews> {
    const sent = new Int32Array(new SharedArrayBuffer(4));
    const statuses = this.#order({ request, sent });
    Atomics.wait(sent, 0, 0);
    return statuses;
  }

  #order(order: CrowdOrder): Promise<CrowdNews> {
    const { promise, resolve, reject } = Promise.withResolvers<CrowdNews>();
    this.#worker.onmessage = ({ data }: MessageEvent<CrowdNews>) => resolve(data);
    this.#worker.onerror = (event) => reject(new Error(event.message));
    this.#worker.postMessage(order);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("GuardedServer has read the requests of all its clients before it cuts one", async () => {
  // The event loop reads only a part of the sockets in one turn. After two turns, clients whose requests had come were
  // cut: under full load, some of a thousand requests to the admin API were closed without a response.
  const size = 1000;
  await using guarded = new Guarded(size);
  using crowd = new Crowd();
  await crowd.connect(guarded.server.address.port, size);
  await new Promise((resolve) => setTimeout(resolve, 300)); // longer than anybody is spared
  const next = guarded.connect();
  const statuses = crowd.request(REQUEST);
  const status = statusOf(await next);
  assertEquals(new Set(await statuses), new Set([200]));
  assertEquals(await status, 200);
});

Deno.test("GuardedServer serves a client that waits for room when another process takes over", async () => {
  // It waited until an event stream ended, and so did the end of the process.
  const streams = Promise.withResolvers<void>();
  let asked = 0;
  await using guarded = new Guarded(1, async () => {
    if (++asked === 1) await streams.promise;
    return new Response("done");
  });
  const stream = statusOf(await guarded.connect());
  await waitFor(() => asked === 1, { what: "the first request" });
  const waiting = statusOf(await guarded.connect());
  await guarded.server.release();
  assertEquals(await waiting, 200);
  streams.resolve();
  assertEquals(await stream, 200);
});
