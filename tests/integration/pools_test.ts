// The admin API with several pools: each is shown and changed by itself.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

async function call(proxy: TestProxy, method: string, path: string, body?: unknown) {
  const init = body === undefined
    ? { method }
    : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${proxy.adminUrl}${path}`, init);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const urlsOf = (backends: readonly { readonly url: string }[]) => backends.map(({ url }) => url);

async function ask(proxy: TestProxy, path: string): Promise<string> {
  return await (await fetch(`${proxy.url}${path}`)).text();
}

function settingsOf(web: HttpBackend, api: HttpBackend): ConfigFile {
  return {
    backends: [web.url],
    pools: { api: { backends: [api.url], strategy: "least-connections" }, empty: { backends: [] } },
    routes: { "*/*": "default", "*/api/*": "api", "*/empty/*": "empty" },
  };
}

Deno.test("GET /pools and GET /pools/{pool} show what /status shows of the pools", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  await using proxy = await TestProxy.start(settingsOf(web, api));
  const { body: status } = await call(proxy, "GET", "/status");
  const { body: pools } = await call(proxy, "GET", "/pools");
  assertEquals(pools, status.pools);
  assertEquals(Object.keys(pools), ["default", "api", "empty"]);
  assertEquals(pools.default.backends, status.backends);
  assertEquals([pools.default.strategy, pools.api.strategy], ["round-robin", "least-connections"]);
  assertEquals([urlsOf(pools.api.backends), pools.empty.backends], [[api.url], []]);
  assertEquals(pools.api.source, { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null });
  assertEquals((await call(proxy, "GET", "/pools/api")).body, pools.api);
  assertEquals((await call(proxy, "GET", "/pools/api/backends")).body, pools.api.backends);
  assertEquals((await call(proxy, "GET", "/pools/default/backends")).body, status.backends);
});

Deno.test("/pools/{pool}/backends changes its pool and no other, and requests notice at once", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  await using more = HttpBackend.named("more");
  await using proxy = await TestProxy.start(settingsOf(web, api));
  // The same URL as in another pool is another backend.
  const added = await call(proxy, "POST", "/pools/empty/backends", { url: web.url, weight: 2 });
  assertEquals([added.status, added.body.url, added.body.weight], [201, web.url, 2]);
  const ofDefault = proxy.backend(web.url);
  assert(added.body.id !== ofDefault.id);
  assertEquals(added.headers.get("location"), `/pools/empty/backends/${added.body.id}`);
  assertEquals(await ask(proxy, "/empty/x"), "web");

  const byId = `/pools/empty/backends/${added.body.id}`;
  assertEquals((await call(proxy, "GET", byId)).body.url, web.url);
  assertEquals((await call(proxy, "GET", `/backends/${added.body.id}`)).status, 404);
  assertEquals((await call(proxy, "PATCH", byId, { weight: 5 })).body.weight, 5);
  assertEquals((await call(proxy, "PATCH", "/pools/empty/backends", { url: web.url, state: "disabled" })).status, 200);
  assertEquals([ofDefault.weight, ofDefault.state], [1, "active"]);
  assertMatch(await ask(proxy, "/empty/x"), /Service Unavailable/);

  const deployed = await call(proxy, "PUT", "/pools/api/backends", { backends: [more.url] });
  assertEquals([deployed.status, deployed.body.added, deployed.body.removed], [200, [more.url], [api.url]]);
  assertEquals([await ask(proxy, "/api/x"), await ask(proxy, "/x")], ["more", "web"]);

  assertEquals((await call(proxy, "DELETE", `${byId}?drain=1s`)).body.url, web.url);
  assertEquals((await call(proxy, "DELETE", "/pools/api/backends", { url: more.url })).status, 200);
  const { body: pools } = await call(proxy, "GET", "/pools");
  assertEquals([urlsOf(pools.default.backends), pools.api.backends, pools.empty.backends], [[web.url], [], []]);
  const changes = proxy.log.of("admin change").map(({ fields }) => [fields["action"], fields["pool"]]);
  assertEquals(changes, [
    ["add", "empty"],
    ["change", "empty"],
    ["change", "empty"],
    ["remove", "empty"],
    ["remove", "api"],
  ]);
});

Deno.test("an unknown pool is an unknown path: 404 with the nearest name, before anything else about the request", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  await using proxy = await TestProxy.start(settingsOf(web, api));
  for (const path of ["/pools/apu", "/pools/apu/backends", "/pools/apu/backends/b-0"]) {
    for (const method of ["GET", "PUT", "PROPFIND"]) {
      const { status, body } = await call(proxy, method, path, method === "GET" ? undefined : "{");
      assertEquals(status, 404);
      assertEquals(body.detail, 'there is no pool "apu", did you mean "api"?');
    }
  }
  assertEquals((await call(proxy, "GET", "/pools/nothing-like-it")).body.detail, 'there is no pool "nothing-like-it"');
  assertEquals((await call(proxy, "GET", "/pools/constructor")).status, 404);
  const { status, headers } = await call(proxy, "DELETE", "/pools/api");
  assertEquals([status, headers.get("allow")], [405, "GET, HEAD"]);
});

Deno.test("pools come and go with a reload, in the admin API too", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  const settings = settingsOf(web, api);
  await using proxy = await TestProxy.start(settings);
  Object.assign(settings, { pools: { fresh: { backends: [api.url] } }, routes: { "*/*": "fresh" } });
  assertEquals((await call(proxy, "POST", "/reload")).status, 200);
  assertEquals(Object.keys((await call(proxy, "GET", "/pools")).body), ["default", "fresh"]);
  assertEquals((await call(proxy, "GET", "/pools/api/backends")).status, 404);
  assertEquals((await call(proxy, "GET", "/pools/fresh/backends")).body.length, 1);
});

Deno.test("a deployment to a pool that a reload ends changes nothing", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  const refusing = await (async () => {
    await using backend = HttpBackend.named("gone");
    return backend.url;
  })();
  const settings = settingsOf(web, api);
  await using proxy = await TestProxy.start(settings);
  const deployed = call(proxy, "PUT", "/pools/api/backends", { backends: [refusing], wait: "60s" });
  await waitFor(() => proxy.log.of("deployment begun").length === 1, { what: "the deployment to begin" });
  Object.assign(settings, { pools: {}, routes: null });
  assertEquals((await call(proxy, "POST", "/reload")).status, 200);
  assertMatch(`${(await deployed).status}`, /409/);
});

Deno.test("/readyz asks the pools that routes lead to", async () => {
  await using web = HttpBackend.named("web");
  await using api = HttpBackend.named("api");
  const settings = settingsOf(web, api);
  await using proxy = await TestProxy.start(settings);
  const ready = async (routes: ConfigFile["routes"]) => {
    Object.assign(settings, { routes });
    assertEquals((await call(proxy, "POST", "/reload")).status, 200);
    return (await call(proxy, "GET", "/readyz")).status;
  };
  assertEquals(await ready({ "*/*": "empty" }), 503);
  assertEquals(await ready({ "*/*": "empty", "*/api/*": "api" }), 200);
  // No request can get to a side of weight 0.
  assertEquals(await ready({ "*/*": { pool: { empty: 1, api: 0 } } }), 503);
  assertEquals(await ready({ "*/*": { respond: 404 } }), 200);
  for (const { id } of proxy.backends) await call(proxy, "PATCH", "/backends", { id, state: "disabled" });
  assertEquals(await ready({ "*/*": "api" }), 200);
  assertEquals(await ready(null), 503);
});
