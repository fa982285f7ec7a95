/**
 * Nothing that a client can send gets it around a guard: no spelling of a path, a target or a header, no method, upgrade,
 * body or trailer, and no place behind other requests of a connection. All of it together, at random, over sockets.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { looseName } from "../../src/http1/loose_name.ts";
import { looseForm, plainForm } from "../../src/http1/path_form.ts";
import { RawClient } from "../support/raw_client.ts";
import { echoOf, RecordingBackend, type SeenRequest } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";
import { ask, type EngineUnderTest, startProxy, within } from "./engine_under_test.ts";
import { to } from "./routes.ts";

/** What each guard keeps, all of which is closed to the client of the test. */
const KEPT = ["deny", "allow", "rate", "full", "basic", "asked"] as const;

/** A segment as it is, and in spellings that some server reads as it. */
const kept = fc.constantFrom(...KEPT).chain((name) =>
  fc.constantFrom(
    name,
    `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`,
    `${name.slice(0, -1)}%${name.charCodeAt(name.length - 1).toString(16).toUpperCase()}`,
    `${name};x=1`,
    `..%2f${name}`,
    `a%2f..%2f${name}`,
    `.%5c${name}`,
    `..\\${name}`,
    `${name}%00`,
  )
);
const other = fc.constantFrom(..."a . .. ..; ;x %2e %2e%2e %2f %5c ?x #y %".split(" "), "");
const path = fc.tuple(fc.array(other, { maxLength: 3 }), kept, fc.array(other, { maxLength: 2 }))
  .map(([before, segment, after]) => `/${[...before, segment, ...after].join("/")}`);
const target = fc.tuple(fc.constantFrom("", "", "http://x", "http://other", "HTTPS://x:443", "http://x@y"), path)
  .map((parts) => parts.join(""));

/** An address that `allow` lets in and that `deny` does not name, in the words of proxies. */
const claims = fc.array(
  fc.tuple(
    fc.constantFrom(
      ...["X-Forwarded-For", "X_Forwarded_For", "x-forwarded_for", "X-Real-IP", "X_Real_IP", "X-Client-IP"],
      ...["Forwarded", "X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "Client-Cert"],
      ...["X-HTTP-Method-Override", "X-Forwarded-Prefix", "Cookie", "Authorization", "Proxy-Authorization"],
      ...["X-User", "x_user", "X.User", "X-Forwarded-Method", "X_Forwarded_Uri"],
    ),
    fc.constantFrom("192.0.2.1", "for=192.0.2.1", "192.0.2.1, 127.0.0.1", "/", "GET", "OPTIONS", "a=b", "root"),
  ).map(([name, value]) => `${name}: ${value}\r\n`),
  { maxLength: 3 },
).map((lines) => lines.join(""));

/** How a request ends: with what it says of its body, and the body. */
const bodies = fc.tuple(fc.constantFrom("none", "none", "length", "chunks", "websocket", "h2c"), claims).map(
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

const method = fc.constantFrom("GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE", "get");
const request = fc.tuple(method, target, claims, bodies).map(([verb, target, lines, rest]) =>
  `${verb} ${target} HTTP/1.1\r\nHost: x\r\n${lines}${rest}`
);

/** The guards' part of a path, however a backend reads it. */
function reaches(target: string): string | undefined {
  const [sent = ""] = target.split(/[?#]/);
  const readings = [sent, plainForm(sent), looseForm(sent)];
  return KEPT.find((name) => readings.some((reading) => reading === `/${name}` || reading.startsWith(`/${name}/`)));
}

/** Of a password that nobody in the test knows. */
const HASH = "$scrypt$ln=14,r=8,p=5$0TcbFlS0mnX1G9QRCqGKPA$H3MhYzAFfenKGn3HrjOtt2XvY6maP+sjW6m9nfvbPcU";

/** Lets nobody in where it is asked at `/kept`. It knows nobody's name. */
function decide({ target }: SeenRequest): string {
  return target === "/kept" ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 204 No Content\r\n\r\n";
}

export function testGuardSpellings(engine: EngineUnderTest): void {
  Deno.test(`${engine.name}: guards: nothing that a client can send gets it around one`, async () => {
    const gate = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async (request) => {
      if (request.target === "/full/first") await gate.promise;
      return echoOf(request);
    });
    await using server = new RecordingBackend(decide);
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: {
        "*/*": { pool: "default", auth: { forward: server.url, copy: ["X-User"] } },
        "*/deny/*": { pool: "default", deny: ["127.0.0.0/8"] },
        "*/allow/*": { pool: "default", allow: ["192.0.2.1"] },
        "*/rate/*": { pool: "default", rateLimit: { requests: 1, per: "24h" } },
        "*/full/*": { pool: "default", concurrency: 1 },
        "*/basic/*": { pool: "default", auth: { basic: { users: { ada: HASH } } } },
        "*/asked/*": { pool: "default", auth: { forward: `${server.url}/kept`, copy: ["X-User"] } },
      },
    });
    using first = await RawClient.connect(proxy.port);
    assertEquals((await ask(first, to("x", "/rate/first"))).status, 200, "the only one that the limit allows");
    await first.send(to("x", "/full/first"));
    await waitFor(() => backend.requests.length === 2, { what: "the request that takes the only place" });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const before = backend.requests.length;
        using client = await RawClient.connect(proxy.port);
        // Behind the others of the connection, unless one of them ends it.
        await client.send(to("x", "/open") + requests.join("") + to("x", "/open")).catch(() => {});
        for (let index = 0; index < requests.length + 2; index++) {
          const verb = requests[index - 1]?.split(" ")[0] ?? "GET";
          const response = await within(client.response(verb).catch(() => undefined), requests.join("\n"));
          if (response === undefined || response.status === 101) break;
        }
        const reached = backend.requests.slice(before).map(({ target }) => [target, reaches(target)]);
        assertEquals(reached.filter(([, guard]) => guard !== undefined), [], requests.join("\n"));
        const named = backend.requests.slice(before).flatMap(({ headers, trailers }) => [...headers, ...trailers]);
        assertEquals(named.filter(([name]) => looseName(name) === "x-user"), [], requests.join("\n"));
      }),
      { numRuns: 300 },
    );
    assert(backend.requests.length > 300, "requests that are allowed get through");
    assertEquals(backend.violations, []);
    gate.resolve();
    assertEquals((await within(first.response(), "the first request"))?.status, 200);
    first.close();
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.limits.concurrency("*/full/*").current, 0);
  });
}
