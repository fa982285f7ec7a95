// Removal that drains first, and the question which backend a request would get.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { TestAdmin } from "../support/admin.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

/** A backend whose answers wait for `release`. */
function waitingBackend() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const backend = new HttpBackend(() => promise.then(() => new Response("finished")));
  return { backend, release: resolve };
}

async function remove(proxy: TestProxy, url: string, drain: string) {
  const response = await fetch(`${proxy.adminUrl}/backends?url=${url}&drain=${drain}`, { method: "DELETE" });
  return { status: response.status, body: await response.json() };
}

Deno.test("DELETE with drain answers when the last request has ended, which finishes", async () => {
  const { backend, release } = waitingBackend();
  await using _backend = backend;
  await using other = HttpBackend.named("other");
  await using proxy = await TestProxy.start({ backends: [backend.url, other.url] });
  const inFlight = fetch(proxy.url);
  await waitFor(() => backend.requests === 1, { what: "the request" });
  const removed = remove(proxy, backend.url, "30s");
  await waitFor(() => proxy.backend(backend.url).state === "draining", { what: "the backend to drain" });
  for (let request = 0; request < 3; request++) assertEquals(await (await fetch(proxy.url)).text(), "other");
  assertEquals(proxy.backends.length, 2);
  release();
  assertEquals(await (await inFlight).text(), "finished");
  const { status, body } = await removed;
  assertEquals([status, body.url, body.state, body.currentConnections], [200, backend.url, "draining", 0]);
  assertEquals(proxy.backends.map(({ url }) => url), [other.url]);
});

Deno.test("DELETE with drain removes at the latest when its time is over; what is in flight finishes all the same", async () => {
  const { backend, release } = waitingBackend();
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const inFlight = fetch(proxy.url);
  await waitFor(() => backend.requests === 1, { what: "the request" });
  const { status, body } = await remove(proxy, backend.url, "30ms");
  assertEquals([status, body.currentConnections, proxy.backends.length], [200, 1, 0]);
  release();
  assertEquals(await (await inFlight).text(), "finished");
});

Deno.test("DELETE refuses a drain that is no duration, and changes nothing", async () => {
  await using backend = HttpBackend.named("ok");
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const { status, body } = await remove(proxy, backend.url, "soon");
  assertEquals([status, proxy.backend(backend.url).state], [400, "active"]);
  assertMatch(body.detail, /drain: got "soon", want a duration/);
});

Deno.test("DELETE with drain leaves a disabled backend disabled", async () => {
  // It became draining, and the clients that stick to it got the backend again that an operator had switched off.
  const states: string[] = [];
  const persist = () => Promise.resolve(void states.push(admin.backend().state));
  await using admin = new TestAdmin({ persist });
  admin.pool.update(admin.backend(), { state: "disabled" }, "test");
  const target = `/backends/${admin.backend().id}?drain=0ms`;
  assertEquals((await admin.call({ method: "DELETE", target })).json.state, "disabled");
  assertEquals(states, ["disabled"]);
});

Deno.test("DELETE with drain and a file that can't be written leaves every state as it was", async () => {
  // The answer was that nothing had changed, but the backend went on draining, without new traffic for ever.
  await using admin = new TestAdmin({ persist: () => Promise.reject(new Error("read-only")) });
  const backend = admin.backend();
  for (const state of ["active", "draining", "disabled"] as const) {
    admin.pool.update(backend, { state }, "test");
    const target = `/backends/${backend.id}?drain=0ms`;
    assertEquals([(await admin.call({ method: "DELETE", target })).status, backend.state], [500, state]);
  }
});

Deno.test("a change of a backend that an earlier change removes is 404, and nobody else's", async () => {
  // The change went to the slot in shared memory, which another backend had got by then: that one's weight changed.
  const next = "http://127.0.0.1:9099";
  for (const sent of [{ method: "PATCH", body: { weight: 7 } }, { method: "DELETE" }]) {
    const { promise: written, resolve: write } = Promise.withResolvers<void>();
    let writes = 0;
    await using admin = new TestAdmin({
      persist() {
        writes++;
        return written;
      },
    });
    const target = `/backends/${admin.backend().id}`;
    const first = admin.call({ method: "DELETE", target });
    await waitFor(() => writes === 1, { what: "the first change" });
    const others = [admin.call({ method: "POST", target: "/backends", body: { url: next } })];
    others.push(admin.call({ ...sent, target }));
    write();
    const statuses = (await Promise.all([first, ...others])).map(({ status }) => status);
    assertEquals([statuses, admin.backend(next).weight, admin.pool.backends.length], [[200, 201, 404], 1, 1]);
  }
});

Deno.test("GET /explain says which backend a request would get and why, and takes no turn", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using spare = HttpBackend.named("spare");
  await using proxy = await TestProxy.start({
    backends: [one.url, { url: two.url, weight: 3 }, { url: spare.url, backup: true }, "http://127.0.0.1:9"],
  });
  const { pool } = proxy;
  const unreachable = proxy.backend("http://127.0.0.1:9");
  pool.setUp(unreachable, false, "check failed: connection refused");
  const ask = async (query = "") => await (await fetch(`${proxy.adminUrl}/explain${query}`)).json();
  for (let request = 0; request < 8; request++) {
    const { backend } = await ask("?method=GET&path=/x&ip=203.0.113.1&header=X-A:%20b");
    assertEquals((await ask()).backend, backend);
    const by = await (await fetch(proxy.url)).text();
    assertEquals(backend.url, by === "one" ? one.url : two.url);
  }
  const { strategy, reason, backends } = await ask();
  assertEquals([strategy, reason], ["round-robin", "the strategy's choice"]);
  const standings = backends.map((
    backend: Record<string, unknown>,
  ) => [backend["eligible"], backend["reason"], backend["share"]]);
  assertEquals(standings, [
    [true, "eligible", 0.25],
    [true, "eligible", 0.75],
    [false, "a backup, and others are eligible", 0],
    [false, "down: check failed: connection refused", 0],
  ]);
  const bad = await fetch(`${proxy.adminUrl}/explain?path=x`);
  assertEquals(bad.status, 400);
  await bad.body?.cancel();
});

Deno.test("GET /explain follows a session's cookie", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using proxy = await TestProxy.start({ sticky: {}, backends: [one.url, two.url] });
  const response = await fetch(proxy.url);
  const by = await response.text();
  const cookie = response.headers.get("set-cookie")?.split(";")[0];
  assert(cookie !== undefined);
  for (let round = 0; round < 3; round++) {
    const { backend, reason } = await (await fetch(`${proxy.adminUrl}/explain?cookie=${encodeURIComponent(cookie)}`))
      .json();
    assertEquals([backend.url, reason], [by === "one" ? one.url : two.url, "its session"]);
  }
});
