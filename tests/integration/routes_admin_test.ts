// GET and PATCH /routes: the routes in match order with their counts, and the weights of their splits.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { Roundhouse } from "../../src/control/roundhouse.ts";
import { configSchema } from "../../src/config/schema.ts";
import { WORKER_URL } from "../../src/workers/worker_url.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RecordingLog } from "../support/log.ts";
import { RawClient } from "../support/raw_client.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

async function call(adminUrl: string, method: string, path: string, body?: unknown) {
  const init = body === undefined
    ? { method }
    : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${adminUrl}${path}`, init);
  return { status: response.status, body: await response.json() };
}

async function ask(port: number, path: string): Promise<string> {
  using client = await RawClient.connect(port);
  const response = await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  return new TextDecoder().decode(response?.body);
}

function settingsOf(blue: HttpBackend, green: HttpBackend): ConfigFile {
  return {
    backends: [blue.url],
    pools: { green: { backends: [green.url] } },
    routes: {
      "*/*": "default",
      "*/split/*": [
        { name: "beta", when: { header: { "X-Beta": "1" } }, pool: "green" },
        { pool: { default: 100, green: 0 } },
      ],
      "*/one": "green",
      "www.example.com/*": { redirect: "https://example.com{uri}", status: 301 },
      "*.example.com/*": { respond: 404 },
    },
  };
}

Deno.test("GET /routes lists all entries in the order in which they are matched, with their counts", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  await using proxy = await TestProxy.start(settingsOf(blue, green));
  assertEquals(await ask(proxy.port, "/split/x"), "blue");
  assertEquals(await ask(proxy.port, "/one"), "green");
  const shown = async () => (await call(proxy.adminUrl, "GET", "/routes")).body;
  await waitFor(async () => (await shown()).at(-1).requests + (await shown())[2].requests > 0, { what: "a count" });
  const unused = { requests: 0, failed: 0, responses: null, latencyMs: null };
  const routes = await shown();
  const used = routes.map(({ requests }: { requests: number }) => requests);
  assertEquals(used, [0, 0, 1, 0, 1, 0]);
  assertEquals(Object.keys(routes[2].latencyMs), ["p50", "p95", "p99"]);
  assertEquals(routes[2].responses, { "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 0 });
  assertEquals(routes.map((route: object) => ({ ...route, ...unused })), [
    {
      route: "www.example.com/*",
      entry: 0,
      name: null,
      label: "www.example.com/*",
      to: "redirect 301 https://example.com{uri}",
      ...unused,
    },
    { route: "*.example.com/*", entry: 0, name: null, label: "*.example.com/*", to: "respond 404", ...unused },
    { route: "*/one", entry: 0, name: null, label: "*/one", to: "green", ...unused },
    { route: "*/split/*", entry: 0, name: "beta", label: "*/split/* beta", to: "green", ...unused },
    { route: "*/split/*", entry: 1, name: null, label: "*/split/* #1", to: "default 100, green 0", ...unused },
    { route: "*/*", entry: 0, name: null, label: "*/*", to: "default", ...unused },
  ]);
});

Deno.test("without routes, GET /routes is empty", async () => {
  await using blue = HttpBackend.named("blue");
  await using proxy = await TestProxy.start({ backends: [blue.url] });
  assertEquals((await call(proxy.adminUrl, "GET", "/routes")).body, []);
});

Deno.test("PATCH /routes moves a split for all isolates at once, without a failed request, until a reload", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  await using proxy = await TestProxy.start(settingsOf(blue, green));
  let stopped = false;
  const answers: { readonly body: string; readonly sentAt: number }[] = [];
  const clients = Array.from({ length: 4 }, async () => {
    while (!stopped) {
      const sentAt = performance.now();
      answers.push({ sentAt, body: await ask(proxy.port, "/split/x") });
    }
  });
  await waitFor(() => answers.length > 20, { what: "load" });
  const change = { route: "*/split/*", entry: 1, pool: { default: 0, green: 100 } };
  const { status, body } = await call(proxy.adminUrl, "PATCH", "/routes", change);
  const movedAt = performance.now();
  const { route, entry, to, pool } = body;
  assertEquals([status, route, entry, to, pool], [200, "*/split/*", 1, "default 0, green 100", change.pool]);
  const before = answers.length;
  await waitFor(() => answers.length > before + 40, { what: "load after it" });
  stopped = true;
  await Promise.all(clients);
  assertEquals(new Set(answers.map(({ body }) => body)), new Set(["blue", "green"]));
  assertEquals(new Set(answers.filter(({ sentAt }) => sentAt > movedAt).map(({ body }) => body)), new Set(["green"]));
  // Sides that are not named keep their weight.
  await call(proxy.adminUrl, "PATCH", "/routes", { ...change, pool: { default: 7 } });
  const inForce = (await call(proxy.adminUrl, "GET", "/config")).body.routes["*/split/*"];
  assertEquals(inForce[1].pool, { default: 7, green: 100 });
  assertEquals(proxy.log.of("admin change").at(-1)?.fields, {
    client: "127.0.0.1",
    action: "split",
    route: "*/split/*",
    entry: 1,
    before: { default: 0, green: 100 },
    after: { default: 7, green: 100 },
  });
  assertEquals((await call(proxy.adminUrl, "POST", "/reload")).status, 200);
  assertEquals(await ask(proxy.port, "/split/x"), "blue");
});

Deno.test("PATCH /routes refuses what it can't do, and changes nothing", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  await using proxy = await TestProxy.start(settingsOf(blue, green));
  const split = { route: "*/split/*", entry: 1, pool: { green: 1 } };
  const cases: [change: object, status: number, detail: string][] = [
    [{ ...split, route: "*/spilt/*" }, 404, 'route: there is no "*/spilt/*", did you mean "*/split/*"?'],
    [{ ...split, route: "constructor" }, 404, 'route: there is no "constructor"'],
    [{ ...split, entry: 2 }, 404, 'entry: got 2, but "*/split/*" has entries 0 to 1'],
    [{ ...split, route: "*/one", entry: 1 }, 404, 'entry: got 1, but "*/one" has entry 0 only'],
    [{ ...split, entry: 0 }, 400, "pool: the entry is no split"],
    [{ ...split, route: "*.example.com/*", entry: 0 }, 400, "pool: the entry is no split"],
    [{ ...split, pool: { gren: 1, x: 2 } }, 400, "pool: got gren, x, want sides of the split: default, green"],
    [{ ...split, pool: { default: 0 } }, 400, "pool: got 0 for every side, want at least one weight above 0"],
    [{ ...split, pool: {} }, 400, "pool: got an empty object, want at least one pool"],
    [{ route: 1, entry: -1, pool: { green: 1001 }, x: 1 }, 400, ""],
  ];
  for (const [change, status, detail] of cases) {
    const answer = await call(proxy.adminUrl, "PATCH", "/routes", change);
    assertEquals(answer.status, status, JSON.stringify(answer.body));
    if (detail !== "") assertEquals(answer.body.detail, detail);
  }
  assertEquals((await call(proxy.adminUrl, "GET", "/routes")).body[4].to, "default 100, green 0");
});

Deno.test("PATCH /routes is written to the file first, and changes nothing if it can't be", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  const saved: unknown[] = [];
  let refuse = false;
  const config = configSchema.parse({
    ...settingsOf(blue, green),
    proxy: { host: "127.0.0.1", port: 0 },
    admin: { port: 0, persist: true },
  });
  const roundhouse = await Roundhouse.start({
    config,
    log: new RecordingLog(),
    version: "0.0.0-test",
    workerUrl: WORKER_URL,
    save: (change) => refuse ? Promise.reject(new Error("read-only")) : Promise.resolve(void saved.push(change)),
  });
  try {
    const change = { route: "*/split/*", entry: 1, pool: { default: 5 } };
    assertEquals((await call(roundhouse.adminUrl, "PATCH", "/routes", change)).status, 200);
    assertEquals(saved, [{ kind: "split", route: "*/split/*", entry: 1, weights: { default: 5 } }]);
    refuse = true;
    const { status, body } = await call(roundhouse.adminUrl, "PATCH", "/routes", { ...change, pool: { default: 9 } });
    assertEquals(status, 500);
    assert(body.detail.endsWith("nothing has changed: read-only"));
    assertEquals((await call(roundhouse.adminUrl, "GET", "/routes")).body[4].to, "default 5, green 0");
  } finally {
    await roundhouse.stop();
  }
});

// PATCH /routes read the files of all responses again. When one had been removed since the start, its maintenance page
// became 500, though a reload that finds the file missing is refused and keeps the page.
Deno.test("PATCH /routes keeps a response whose file is gone", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "back soon");
  const settings = settingsOf(blue, green);
  const routes = { ...settings.routes, "*/down": { respond: { status: 503, file } } };
  await using proxy = await TestProxy.start({ ...settings, routes });
  assertEquals(await ask(proxy.port, "/down"), "back soon");
  await Deno.remove(file);
  for (const green of [10, 20]) {
    const moved = { route: "*/split/*", entry: 1, pool: { default: 90, green } };
    assertEquals((await call(proxy.adminUrl, "PATCH", "/routes", moved)).status, 200);
    await proxy.roundhouse.settled();
    assertEquals(await ask(proxy.port, "/down"), "back soon");
  }
});
