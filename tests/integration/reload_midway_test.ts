// A reload in the middle of a request mixed two configurations: the header rules, the session and the retries of the
// new one for an attempt that the old one had begun. Whoever was being served got an answer that no configuration gives.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ENGINE, TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, type RawResponse } from "../support/raw_client.ts";

const REFUSAL = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/** An answer with two trailers: each configuration removes one of them. */
const CHUNKED = "HTTP/1.1 200 OK\r\nX-Old: 1\r\nX-New: 1\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "3\r\nabc\r\n0\r\nX-Old: 1\r\nX-New: 1\r\n\r\n";

const GET = "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n";

/** The names of the `X-` fields among lines, in lower case and in order. */
function marks(text: string): string[] {
  return Array.from(text.matchAll(/^(x-(?:old|new|rules)):/gim), ([, name = ""]) => name.toLowerCase());
}

Deno.test("a request keeps the retries, the session and the response rules that it began with", async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  await using refusing = new RawBackend(async (connection) => {
    while (await connection.head()) {
      asked.resolve();
      await gate.promise;
      await connection.send(REFUSAL);
    }
  });
  await using other = RawBackend.answering(CHUNKED);
  const settings: ConfigFile = {
    backends: [{ url: refusing.url, weight: 100 }, { url: other.url, weight: 1 }],
    sticky: { by: "cookie", cookie: "old" },
    retries: { attempts: 1, statuses: [503], budget: 1 },
    headers: { response: { set: { "X-Rules": "old" }, remove: ["X-Old"] } },
  };
  await using proxy = await TestProxy.start(settings);
  const ask = async () => {
    using client = await RawClient.connect(proxy.port);
    const response = await client.request(GET);
    assert(response !== undefined);
    return response;
  };
  const underWay = ask();
  await asked.promise;
  Object.assign(settings, {
    sticky: { by: "cookie", cookie: "new" },
    retries: { attempts: 0, statuses: [], budget: 0 },
    headers: { response: { set: { "X-Rules": "new" }, remove: ["X-New"] } },
  });
  await proxy.roundhouse.reload();
  gate.resolve();
  assertGoesBy("old", await underWay);
  proxy.pool.update(proxy.backend(refusing.url), { state: "disabled" }, "test");
  assertGoesBy("new", await ask());
});

function assertGoesBy(rules: "old" | "new", response: RawResponse): void {
  assertEquals(response.status, 200);
  assertEquals(headerOf(response, "x-rules"), rules);
  assertEquals(headerOf(response, "set-cookie")?.split("=")[0], rules);
  assert(!marks(response.head).includes(`x-${rules}`), response.head);
}

Deno.test("a request's trailers, both ways, go by the rules that it began with", async () => {
  const answered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  await using backend = new RawBackend(async (connection) => {
    await connection.until("abc");
    answered.resolve();
    await connection.until("0\r\n");
    await connection.until("\r\n\r\n");
    await connection.send(CHUNKED.slice(0, CHUNKED.indexOf("0\r\n")));
    await gate.promise;
    await connection.send(CHUNKED.slice(CHUNKED.indexOf("0\r\nX")));
    await connection.toEnd();
  });
  const settings: ConfigFile = {
    backends: [backend.url],
    headers: { request: { remove: ["X-Old"] }, response: { remove: ["X-Old"] } },
  };
  await using proxy = await TestProxy.start(settings);
  using client = await RawClient.connect(proxy.port);
  await client.send(
    "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  );
  await answered.promise;
  settings.headers = { request: { remove: ["X-New"] }, response: { remove: ["X-New"] } };
  await proxy.roundhouse.reload();
  await client.send("0\r\nX-Old: 1\r\nX-New: 1\r\n\r\n");
  gate.resolve();
  const answer = new TextDecoder().decode(await client.rest());
  const body = answer.slice(answer.indexOf("\r\n\r\n"));
  const [kept, crossing] = [["x-new"], ENGINE === "wire" ? ["x-new"] : []]; // `fetch` drops all trailers
  assertEquals(marks(answer.slice(0, answer.indexOf("\r\n\r\n"))), kept);
  assertEquals(marks(body), crossing);
  assertEquals(marks(backend.received.slice(backend.received.indexOf("abc"))), crossing);
});
