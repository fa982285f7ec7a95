import { assertEquals, assertRejects, fail } from "@std/assert";
import { Buffer } from "node:buffer";
import { configSchema } from "../../../../../src/config/schema.ts";
import { Attempt, type AttemptOwner } from "../../../../../src/engines/wire/backend/attempt.ts";
import { BackendConnection, REQUEST_ROOM } from "../../../../../src/engines/wire/backend/backend_connection.ts";
import { BackendConnections } from "../../../../../src/engines/wire/backend/backend_connections.ts";
import type { WireContext } from "../../../../../src/engines/wire/context.ts";
import { explain } from "../../../../../src/engines/wire/failures.ts";
import { wireRequest } from "../../../../../src/engines/wire/request.ts";
import { Clocks } from "../../../../../src/engines/wire/clocks.ts";
import { ProxyError } from "../../../../../src/errors.ts";
import { readRequestHead } from "../../../../../src/http1/request_head.ts";
import type { Answer } from "../../../../../src/proxy/exchange.ts";
import { Pace } from "../../../../../src/net/pace.ts";
import { FakeLink } from "../../../../support/fake_link.ts";
import { poolOf, together } from "../../../../support/pool.ts";
import { waitFor } from "../../../../support/wait.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/** An attempt whose connections a test plays: a kept one first if `kept` says so, then new ones. */
function attemptWith(method: string, { kept = false, responseMs = 0 } = {}) {
  const pool = poolOf([1]);
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("the pool is empty");
  const links: FakeLink[] = [];
  const connection = () => {
    const link = new FakeLink();
    links.push(link);
    return new BackendConnection(backend, link, REQUEST_ROOM, () => {});
  };
  const backends = new BackendConnections(together(pool));
  Object.defineProperties(backends, {
    takeIdle: { value: () => kept ? connection() : undefined },
    connect: { value: () => Promise.resolve(connection()) },
  });
  // Of a context only this much is used.
  const context = {
    backends,
    pace: new Pace(undefined),
    maxHeaderBytes: configSchema.parse({}).proxy.maxHeaderBytes,
  } as unknown as WireContext;
  const head = Buffer.from(`${method} /path HTTP/1.1\r\nHost: x\r\n\r\n`);
  const hints: number[] = [];
  const clocks = new Clocks({ connectMs: 0, responseMs, requestMs: 0, idleMs: 0 });
  const owner = {
    clocks,
    request: wireRequest(readRequestHead(head, 0, head.length), { peer: "192.0.2.1", secure: false, local: "x" }),
    upload: undefined,
    isBrokenOff: false,
    informationalCame: ({ status }) => Promise.resolve(void hints.push(status)),
    uploadEnded: () => attempt.bodySent(),
    explain: (error) => explain(error, undefined, attempt.givenUp, ""),
    relayAnswer: () => fail("nobody relays here"),
    discardAnswer: () => {},
  } satisfies AttemptOwner as AttemptOwner;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const listener = { answered: resolve, failed: reject, relayed: () => {} };
  const attempt = new Attempt({ backend, target: "/path", headers: [["host", "x"]] }, listener, context, owner);
  /** Runs the attempt; settles with what its listener is told. */
  const run = () => {
    attempt.run();
    return promise;
  };
  const link = async (index: number) => {
    await waitFor(() => links[index]?.isRead === true, { what: "a request" });
    return links[index] as FakeLink;
  };
  return {
    attempt,
    run,
    links,
    link,
    hints,
    [Symbol.dispose]() {
      attempt.breakOff();
      attempt.stopClock();
      clocks.close();
      backends.close();
    },
  };
}

/** What an attempt failed with. */
async function failureOf(running: Promise<unknown>): Promise<string> {
  const { code } = await assertRejects(() => running, ProxyError);
  return code;
}

Deno.test("Attempt sends a request and resolves with the head of its answer", async () => {
  using played = attemptWith("GET");
  const running = played.run();
  const link = await played.link(0);
  link.deliver(bytesOf(OK));
  assertEquals((await running).status, 200);
  const sent = new TextDecoder().decode(link.written[0]);
  assertEquals(sent, "GET /path HTTP/1.1\r\nhost: x\r\n\r\n");
});

Deno.test("Attempt does once more over a new connection what a kept one lost", async () => {
  using played = attemptWith("GET", { kept: true });
  const running = played.run();
  (await played.link(0)).end();
  (await played.link(1)).deliver(bytesOf(OK));
  assertEquals((await running).status, 200);
  assertEquals([played.links.length, played.links[0]?.closed], [2, true]);
});

Deno.test("Attempt does not repeat a request that may change something, nor one that a new connection lost", async () => {
  for (const [method, kept] of [["DELETE", true], ["GET", false]] as const) {
    using played = attemptWith(method, { kept });
    const running = played.run();
    const failed = failureOf(running);
    (await played.link(0)).end();
    assertEquals(await failed, "connection_lost", method);
    assertEquals([played.links.length, played.links[0]?.closed], [1, true], method);
  }
});

Deno.test("Attempt passes a 1xx on, and takes an end behind it for a malformed answer", async () => {
  using played = attemptWith("GET", { kept: true });
  const failed = failureOf(played.run());
  const link = await played.link(0);
  link.deliver(bytesOf("HTTP/1.1 103 Early Hints\r\n\r\n"));
  (await played.link(0)).end();
  assertEquals(await failed, "malformed_response");
  assertEquals([played.hints, played.links.length], [[103], 1]);
});

Deno.test("Attempt gives up when no head comes in time, and closes its connection", async () => {
  using played = attemptWith("GET", { kept: true, responseMs: 20 });
  const running = played.run();
  assertEquals(await failureOf(running), "response_timeout");
  assertEquals([played.links.length, played.links[0]?.closed], [1, true]);
});

Deno.test("Attempt.release() closes a connection that can't be used again, and later limits do not touch it", async () => {
  using played = attemptWith("GET");
  const running = played.run();
  (await played.link(0)).deliver(bytesOf(OK));
  await running;
  played.attempt.bodyStuck(); // the backend has answered: that counts
  assertEquals([played.attempt.givenUp, played.links[0]?.closed], [undefined, false]);
  played.attempt.release(false);
  assertEquals(played.links[0]?.closed, true);
});
