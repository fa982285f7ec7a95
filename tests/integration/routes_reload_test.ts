// A reload that swaps two routes while requests come: each of them has to get what one of the two files says, whole.

import { assertEquals, assertGreater } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ENGINE, TestProxy, WORKERS } from "../support/proxy.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

/** Answers with its name, what was cut off the path, and the mark of the configuration that the request came by. */
function named(name: string): RecordingBackend {
  return new RecordingBackend((request) => {
    const [prefix = "-"] = valuesOf(request, "x-forwarded-prefix");
    const [mark = "-"] = valuesOf(request, "x-mark");
    return ok(`${name} ${request.target} ${prefix} ${mark}`);
  });
}

Deno.test("a reload that swaps two routes under load gives each request the answer of one file, and no error", async () => {
  await using one = named("one");
  await using two = named("two");
  const routesOf = (first: string, second: string, mark: string) => {
    const rules = {
      stripPrefix: `/${mark === "red" ? "a" : "a/b"}`,
      headers: { request: { set: { "X-Mark": mark } }, response: { set: { "X-Mark": mark } } },
    };
    return {
      "x/a/b/*": { pool: first, ...rules },
      "y/a/b/*": { pool: second, ...rules },
      "z/*": { respond: { status: mark === "red" ? 200 : 404, body: mark, headers: { "X-Mark": mark } } },
    };
  };
  const [red, blue] = [routesOf("one", "two", "red"), routesOf("two", "one", "blue")];
  const settings = {
    pools: { one: { backends: [one.url] }, two: { backends: [two.url] } },
    routes: red,
    retries: { attempts: 0 },
  };
  await using proxy = await TestProxy.start(settings);
  const wanted: Readonly<Record<string, readonly string[]>> = {
    x: ["one /b/c /a red red 200", "two /c /a/b blue blue 200"],
    y: ["two /b/c /a red red 200", "one /c /a/b blue blue 200"],
    z: ["red red 200", "blue blue 404"],
  };
  const seen = new Map<string, number>();
  let ended = false;
  const load = async (host: string) => {
    using client = await RawClient.connect(proxy.port);
    while (!ended) {
      const response = await client.request(`GET /a/b/c HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      if (response === undefined) throw new Error(`a connection was closed for ${host}`);
      const answer = `${textOf(response)} ${headerOf(response, "x-mark")} ${response.status}`;
      assertEquals(wanted[host]?.includes(answer), true, `${host}: ${answer}`);
      seen.set(answer, (seen.get(answer) ?? 0) + 1);
    }
  };
  const loads = ["x", "y", "z", "x", "y", "z"].map(load);
  try {
    for (let reload = 0; reload < 12; reload++) {
      settings.routes = reload % 2 === 0 ? blue : red;
      await proxy.roundhouse.reload();
      const answers = Object.values(wanted).map((answers) => answers[reload % 2 === 0 ? 1 : 0] ?? "");
      const before = answers.map((answer) => seen.get(answer) ?? 0);
      const grew = () => answers.every((answer, index) => (seen.get(answer) ?? 0) > (before[index] ?? 0));
      await waitFor(grew, { what: "answers of the new file" });
    }
  } finally {
    ended = true;
    await Promise.all(loads);
  }
  assertEquals([...seen.keys()].sort(), Object.values(wanted).flat().sort(), `${ENGINE}, ${WORKERS} workers`);
  for (const count of seen.values()) assertGreater(count, 1);
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  await proxy.idle();
});

Deno.test("a pool that ends keeps the requests that it has, and one that comes back has a queue of its own", async () => {
  // With queues by name, a request that waited for the old pool was counted, and could be admitted, by the new one.
  const gate = Promise.withResolvers<void>();
  await using slow = new RecordingBackend(async () => {
    await gate.promise;
    return ok("slow");
  });
  await using quick = named("quick");
  await using other = named("other");
  const settings = {
    backends: [other.url],
    pools: { api: { backends: [{ url: slow.url, maxConnections: 1 }] } } as NonNullable<ConfigFile["pools"]>,
    routes: { "x/*": "api" } as Record<string, string>,
    queue: { size: 1, timeout: "1m" },
  };
  await using proxy = await TestProxy.start(settings);
  const ask = async () => {
    using client = await RawClient.connect(proxy.port);
    const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    return response === undefined ? "closed" : `${response.status} ${textOf(response).split(" ")[0]}`;
  };
  const served = ask();
  await waitFor(() => slow.requests.length === 1, { what: "the request" });
  const waiting = ask();
  await waitFor(() => proxy.roundhouse.memory.requestTotals().queued === 1, { what: "the second one to wait" });
  settings.pools = {};
  settings.routes = { "x/*": "default" };
  await proxy.roundhouse.reload();
  assertEquals(await ask(), "200 other");
  settings.pools = { api: { backends: [{ url: quick.url, maxConnections: 1 }] } };
  settings.routes = { "x/*": "api" };
  await proxy.roundhouse.reload();
  for (let request = 0; request < 3; request++) assertEquals(await ask(), "200 quick");
  gate.resolve();
  assertEquals(await served, "200 slow");
  const late = await waiting;
  assertEquals(["200 slow", '503 {"type":"about:blank","title":"Service'].includes(late), true, late);
  await proxy.idle();
});
