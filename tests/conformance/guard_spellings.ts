/**
 * Nothing that a client can send gets it around a guard: no spelling of a path, a target or a header, no method, upgrade,
 * body or trailer, and no place behind other requests of a connection. All of it together, at random, over sockets.
 */

import { assert } from "@std/assert";
import fc from "fast-check";
import { GuardedRoutes, hostileHeaders, hostileMethods, hostilePaths } from "../support/guarded_routes.ts";
import { RawClient } from "../support/raw_client.ts";
import { type EngineUnderTest, within } from "./engine_under_test.ts";
import { to } from "./routes.ts";

const targets = fc.tuple(
  fc.constantFrom("", "", "http://x", "http://other", "HTTPS://x:443", "http://x@y"),
  hostilePaths,
).map((parts) => parts.join(""));

const lines = hostileHeaders.map((headers) => headers.map(([name, value]) => `${name}: ${value}\r\n`).join(""));

/** How a request ends: with what it says of its body, and the body. */
const ends = fc.tuple(fc.constantFrom("none", "none", "length", "chunks", "websocket", "h2c"), lines).map(
  ([kind, trailers]) => {
    switch (kind) {
      case "none":
        return "\r\n";
      case "length":
        return "Content-Length: 4\r\n\r\nbody";
      case "chunks":
        return `Transfer-Encoding: chunked\r\nTrailer: X-Real-IP\r\n\r\n4\r\nbody\r\n0\r\n${trailers}\r\n`;
      case "websocket":
        return "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
      default:
        return "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    }
  },
);

const requests = fc.array(
  fc.tuple(hostileMethods, targets, lines, ends).map(([method, target, headers, end]) =>
    `${method} ${target} HTTP/1.1\r\nHost: x\r\n${headers}${end}`
  ),
  { minLength: 1, maxLength: 3 },
);

export function testGuardSpellings(engine: EngineUnderTest): void {
  Deno.test(`${engine.name}: guards: nothing that a client can send gets it around one`, async () => {
    await using guarded = await GuardedRoutes.start({ engine: engine.name });
    const { backend, proxy } = guarded;
    await fc.assert(
      fc.asyncProperty(requests, async (requests) => {
        const before = backend.requests.length;
        using client = await RawClient.connect(proxy.port);
        // Behind the others of the connection, unless one of them ends it.
        await client.send(to("x", "/open") + requests.join("") + to("x", "/open")).catch(() => {});
        for (let index = 0; index < requests.length + 2; index++) {
          const method = requests[index - 1]?.split(" ")[0] ?? "GET";
          const response = await within(client.response(method).catch(() => undefined), requests.join("\n"));
          if (response === undefined || response.status === 101) break;
        }
        guarded.mustHaveKept(before, requests.join("\n"));
      }),
      { numRuns: 300 },
    );
    assert(backend.requests.length > 300, "requests that are allowed get through");
  });
}
