// Reading the configuration again: what changes, what stays, and that nobody notices.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ConfigFile, configSchema } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import { Roundhouse } from "../../src/control/roundhouse.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RecordingLog } from "../support/log.ts";
import { ENGINE, TestProxy } from "../support/proxy.ts";
import { WORKER_URL } from "../../src/workers/worker_url.ts";
import { waitFor } from "../support/wait.ts";

async function postReload(proxy: TestProxy) {
  const response = await fetch(`${proxy.adminUrl}/reload`, { method: "POST" });
  return { status: response.status, body: await response.json() };
}

Deno.test("POST /reload makes the pool what the file says and reports the difference", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using three = HttpBackend.named("three");
  const settings: ConfigFile = { backends: [one.url, two.url] };
  await using proxy = await TestProxy.start(settings);
  assertEquals(await postReload(proxy), {
    status: 200,
    body: { added: [], removed: [], changed: [], restartNeeded: [] },
  });
  for (let request = 0; request < 4; request++) await (await fetch(proxy.url)).text();
  const stays = proxy.backend(one.url);
  proxy.pool.update(stays, { state: "draining", weight: 9 }, "operator");
  settings.backends = [{ url: one.url, weight: 2 }, three.url];
  settings.engine = ENGINE;
  settings.proxy = { port: 1234 };
  const { status, body } = await postReload(proxy);
  assertEquals(status, 200);
  assertEquals(body, { added: [three.url], removed: [two.url], changed: [one.url], restartNeeded: ["proxy.port"] });
  // It was one of many lines at info, and the new port was waited for in vain.
  assertEquals(proxy.log.of("reload").map(({ level }) => level), ["info", "warn"]);
  assertEquals(proxy.backends.map(({ url }) => url), [one.url, three.url]);
  // The operator's state and the counters stay with a backend that stays.
  assertEquals(proxy.backend(one.url), stays);
  assertEquals([stays.state, stays.weight, stays.totalRequests], ["draining", 2, 2]);
  assertEquals(await (await fetch(proxy.url)).text(), "three");
});

Deno.test("a reload changes strategy, headers, limits, token and health checks in place", async () => {
  await using one = new HttpBackend((request) => new Response(request.headers.get("x-by") ?? "nobody"));
  await using two = new HttpBackend((request) => new Response(request.headers.get("x-by") ?? "nobody"));
  const settings: ConfigFile = { backends: [one.url, two.url] };
  await using proxy = await TestProxy.start(settings);
  assertEquals(await (await fetch(proxy.url)).text(), "nobody");
  Object.assign(settings, {
    strategy: "uri-hash",
    headers: { request: { set: { "X-By": "roundhouse" } } },
    proxy: { maxBodySize: 3 },
    admin: { token: "secret" },
    health: { type: "http", interval: 20 },
  });
  assertEquals((await postReload(proxy)).status, 200);
  const before = one.requests;
  for (let request = 0; request < 4; request++) {
    assertEquals(await (await fetch(`${proxy.url}/same`)).text(), "roundhouse");
  }
  const large = await fetch(proxy.url, { method: "POST", body: "four" });
  assertEquals(large.status, 413);
  await large.body?.cancel();
  const denied = await fetch(`${proxy.adminUrl}/status`);
  assertEquals(denied.status, 401);
  await denied.body?.cancel();
  const allowed = await fetch(`${proxy.adminUrl}/status`, { headers: { authorization: "Bearer secret" } });
  assertEquals((await allowed.json()).strategy, "uri-hash");
  await waitFor(() => proxy.backends.every(({ lastCheck }) => lastCheck?.ok === true), { what: "the new checks" });
  assert(one.requests >= before);
});

Deno.test("a configuration that is bad or can't be read again changes nothing and says why", async () => {
  await using backend = HttpBackend.named("ok");
  const settings: ConfigFile = { backends: [backend.url] };
  const log = new RecordingLog();
  const base = { proxy: { host: "127.0.0.1", port: 0 }, admin: { port: 0 }, health: { type: "none" as const } };
  const load = () => {
    if (settings.strategy === "roulette") throw new ConfigError(["strategy: got roulette", "second: problem"]);
    return configSchema.parse({ ...base, ...settings });
  };
  const roundhouse = await Roundhouse.start({ config: load(), log, version: "test", workerUrl: WORKER_URL, load });
  settings.strategy = "roulette";
  settings.backends = [];
  await assertRejects(() => roundhouse.reload(), ConfigError, "got roulette");
  const response = await fetch(`${roundhouse.adminUrl}/reload`, { method: "POST" });
  assertEquals([response.status, (await response.json()).detail], [400, "strategy: got roulette\nsecond: problem"]);
  assertEquals(roundhouse.pools.default.pool.backends.map(({ url }) => url), [backend.url]);
  await roundhouse.stop();

  const fixed = await Roundhouse.start({
    config: configSchema.parse(base),
    log,
    version: "test",
    workerUrl: WORKER_URL,
  });
  await assertRejects(() => fixed.reload(), ConfigError, "no configuration to read again");
  await fixed.stop();
});

Deno.test("a reload can't take the token from an admin server that listens beyond loopback", async () => {
  // A file that named a loopback address and no token dropped the token while the server still listened on every
  // address: whoever could reach the machine could change the pool.
  const settings: ConfigFile = { admin: { host: "0.0.0.0", token: "secret" } };
  await using proxy = await TestProxy.start(settings);
  settings.admin = { host: "127.0.0.1" };
  await assertRejects(() => proxy.roundhouse.reload(), ConfigError, "admin.token: got null, want a token");
  const response = await fetch(`http://127.0.0.1:${new URL(proxy.adminUrl).port}/status`);
  assertEquals(response.status, 401);
  await response.body?.cancel();
});

Deno.test("what takes a restart is named by every reload until then", async () => {
  const settings: ConfigFile = {};
  await using proxy = await TestProxy.start(settings);
  settings.proxy = { port: 1234 };
  for (let round = 0; round < 2; round++) {
    assertEquals((await proxy.roundhouse.reload()).restartNeeded, ["proxy.port"]);
  }
  // What the other engine alone can do.
  settings.engine = ENGINE === "fetch" ? "wire" : "fetch";
  const setting = ENGINE === "fetch" ? "proxyProtocol" : "compression";
  settings.proxy = { [setting]: true };
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, [`proxy.${setting}`, "engine"]);
});

Deno.test("reloads asked for at once are done one after the other", async () => {
  // Each replaced the health monitor that both had found; the first one's went on checking for ever.
  const checks: string[] = [];
  await using backend = new HttpBackend((request) => {
    checks.push(new URL(request.url).pathname);
    return new Response();
  });
  const paths = ["/start", "/first", "/second"];
  const load = () =>
    configSchema.parse({
      proxy: { host: "127.0.0.1", port: 0 },
      admin: { port: 0 },
      backends: [backend.url],
      health: { path: paths.shift(), interval: 5 },
    });
  const roundhouse = await Roundhouse.start({
    config: load(),
    log: new RecordingLog(),
    version: "test",
    workerUrl: WORKER_URL,
    load,
  });
  await Promise.all([roundhouse.reload(), roundhouse.reload()]);
  const seen = checks.lastIndexOf("/second");
  await waitFor(() => checks.length > seen + 10, { what: "checks" });
  assertEquals(new Set(checks.slice(seen + 1)), new Set(["/second"]));
  await roundhouse.stop();
});

Deno.test("a reload that there is no room for changes nothing at all", async () => {
  // It stopped half-way: the pool lost most of its backends, and health settings and the certificate stayed the old ones.
  const list = (net: number) =>
    Array.from({ length: 4096 }, (_, index) => `http://10.${net}.${index >> 8}.${index & 255}`);
  const settings: ConfigFile = { backends: list(1) };
  await using proxy = await TestProxy.start(settings);
  const leases = proxy.backends.map((backend) => backend.lease());
  settings.backends = list(2);
  assertEquals((await postReload(proxy)).body.added.length, 4096);
  leases.push(...proxy.backends.map((backend) => backend.lease()));
  const { pool } = proxy;
  const before = pool.backends;
  Object.assign(settings, { backends: list(3), strategy: "random", health: { type: "tcp" }, admin: { token: "t" } });
  const { status, body } = await postReload(proxy);
  const reason =
    "backends: there is room for 0 new backends, not for 4096, until requests to removed backends have ended";
  assertEquals([status, body.detail], [400, reason]);
  assertEquals(pool.backends, before);
  assertEquals((await (await fetch(`${proxy.adminUrl}/status`)).json()).strategy, "round-robin");
  for (const lease of leases) lease?.release();
  settings.health = { type: "none" };
  assertEquals((await postReload(proxy)).body.removed.length, 4096);
  assertEquals(pool.backends.map(({ url }) => url), list(3));
});

Deno.test("an exchange of all backends fails nobody, in no worker", async () => {
  // Workers were told of each removal and each addition by itself: between them requests met an empty pool.
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const settings: ConfigFile = { backends: [one.url] };
  await using proxy = await TestProxy.start(settings);
  let stop = false;
  const statuses = new Set<number>();
  const clients = Promise.all(Array.from({ length: 8 }, async () => {
    while (!stop) {
      const response = await fetch(proxy.url);
      await response.text();
      statuses.add(response.status);
    }
  }));
  for (let round = 0; round < 100; round++) {
    settings.backends = [round % 2 === 0 ? two.url : one.url];
    await proxy.roundhouse.reload();
  }
  stop = true;
  await clients;
  assertEquals([...statuses], [200]);
});

Deno.test("reloads under traffic lose no request", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const settings: ConfigFile = { backends: [one.url, two.url] };
  await using proxy = await TestProxy.start(settings);
  let stop = false;
  const statuses = new Set<number>();
  const clients = Promise.all(Array.from({ length: 8 }, async () => {
    while (!stop) {
      const response = await fetch(proxy.url, { method: "POST", body: "x" });
      await response.text();
      statuses.add(response.status);
    }
  }));
  for (let round = 0; round < 100; round++) {
    settings.backends = round % 2 === 0 ? [{ url: one.url, weight: 3 }] : [one.url, two.url];
    settings.strategy = round % 3 === 0 ? "least-connections" : "round-robin";
    await proxy.roundhouse.reload();
    const seen = one.requests;
    await waitFor(() => one.requests > seen + 3, { what: "traffic" });
  }
  stop = true;
  await clients;
  assertEquals([...statuses], [200]);
  await proxy.idle();
});
