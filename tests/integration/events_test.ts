// GET /events on a real socket.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MAX_STREAMS } from "../../src/admin/event_feed.ts";
import { TestAdmin } from "../support/admin.ts";
import { EventReader, type ServerSentEvent } from "../support/event_stream.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const A = "http://127.0.0.1:9001";
const B = "http://127.0.0.1:9002";

async function listen(adminUrl: string, lastEventId?: string): Promise<EventReader> {
  const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await fetch(`${adminUrl}/events`, { headers });
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  assert(response.body !== null);
  return new EventReader(response.body);
}

const urlOf = (admin: TestAdmin) => `http://127.0.0.1:${admin.port}`;

/** The name of an event and what is not a pool, an id or a time of it. */
function told(event: ServerSentEvent | undefined): unknown[] {
  const { id: _, pool, at, ...rest } = event?.data ?? {};
  if (pool !== undefined) assertEquals(pool, "default");
  if (at !== undefined) assertEquals(new Date(at).toISOString(), at);
  return [event?.event, rest];
}

Deno.test("admin GET /events tells every change of a backend", async () => {
  await using admin = new TestAdmin({ urls: [A] });
  await using events = await listen(urlOf(admin));
  const { pool } = admin;
  const changes = [
    { make: () => pool.setUp(admin.backend(), false, "check failed"), event: "backend-down", reason: "check failed" },
    { make: () => pool.setUp(admin.backend(), true, "check passed"), event: "backend-up", reason: "check passed" },
    { make: () => pool.setEjected(admin.backend(), true, "ejected"), event: "backend-down", reason: "ejected" },
    { make: () => pool.setEjected(admin.backend(), false, "over"), event: "backend-up", reason: "over" },
  ];
  for (const { make, event, reason } of changes) {
    make();
    assertEquals(told(await events.nextChange()), [event, { backend: A, reason, state: "active" }]);
    assertEquals(admin.backend().lastChange?.reason, reason);
  }
  const reason = "admin API";
  await admin.call({ method: "PATCH", target: "/backends", body: { url: A, weight: 5, state: "draining" } });
  const change = ["backend-changed", { backend: A, reason, state: "draining" }];
  assertEquals([told(await events.nextChange()), told(await events.nextChange())], [change, change]);
  await admin.call({ method: "PATCH", target: "/backends", body: { url: A, state: "disabled" } });
  assertEquals(told(await events.nextChange()), ["backend-changed", { backend: A, reason, state: "disabled" }]);
  await admin.call({ method: "POST", target: "/backends", body: { url: B } });
  const added = await events.nextChange();
  assertEquals(told(added), ["backend-added", { backend: B, reason, state: "active" }]);
  assertEquals([added?.data.pool, added?.data.id], ["default", admin.backend(B).id]);
  await admin.call({ method: "DELETE", target: "/backends", body: { url: B } });
  assertEquals(told(await events.nextChange()), ["backend-removed", { backend: B, reason, state: "active" }]);
});

Deno.test("admin GET /events sends as stats what GET /status answers, without an id", async () => {
  await using admin = new TestAdmin({ urls: [A, B] });
  await using events = await listen(urlOf(admin));
  const stats = await events.next();
  const { json } = await admin.call({ target: "/status" });
  assertEquals([stats?.event, stats?.id], ["stats", undefined]);
  assertEquals(Object.keys(stats?.data), Object.keys(json));
  assertEquals({ ...stats?.data, uptimeSeconds: 0 }, { ...json, uptimeSeconds: 0 });
  assertEquals((await events.next())?.event, "stats");
});

Deno.test("admin GET /events goes on where a client left off", async () => {
  await using admin = new TestAdmin({ urls: [A] });
  const change = (weight: number) => void admin.pool.update(admin.backend(), { weight }, `${weight}`);
  let lastEventId: string | undefined;
  {
    await using events = await listen(urlOf(admin));
    change(2);
    lastEventId = (await events.nextChange())?.id;
  }
  change(3);
  change(4);
  await using events = await listen(urlOf(admin), lastEventId);
  change(5);
  const reasons = [];
  while (reasons.length < 3) reasons.push((await events.nextChange())?.data.reason);
  assertEquals(reasons, ["3", "4", "5"]);
});

Deno.test("admin GET /events is there for 100 at once; the next gets 503 until one leaves", async () => {
  await using admin = new TestAdmin();
  const clients: RawClient[] = [];
  const open = async () => {
    const client = await RawClient.connect(admin.port);
    clients.push(client);
    await client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  };
  try {
    await admin.send({ method: "HEAD", target: "/events" });
    assertEquals(admin.events.streams, 0);
    for (let count = 0; count < MAX_STREAMS; count++) await open();
    await waitFor(() => admin.events.streams === MAX_STREAMS, { what: "100 streams" });
    for (const method of ["GET", "HEAD"]) {
      const { status } = await admin.send({ method, target: "/events" });
      assertEquals(status, 503, method);
    }
    const { json } = await admin.call({ target: "/events" });
    assertEquals(json.detail, "100 event streams are open, which is the limit");
    clients[0]?.[Symbol.dispose]();
    await waitFor(() => admin.events.streams === MAX_STREAMS - 1, { what: "the place of the client that left" });
    await open();
    await waitFor(() => admin.events.streams === MAX_STREAMS, { what: "another client in its place" });
  } finally {
    for (const client of clients.slice(1)) client[Symbol.dispose]();
  }
});

Deno.test("a proxy's events tell of failing requests and of reloads, and end with it", async () => {
  await using backend = new HttpBackend();
  const gone = new HttpBackend();
  await gone[Symbol.asyncDispose]();
  const settings = { backends: [gone.url, backend.url] };
  const proxy = await TestProxy.start(settings);
  await using events = await listen(proxy.adminUrl);
  assertEquals(await (await fetch(proxy.url)).text(), "ok");
  const down = await events.nextChange();
  assertEquals([down?.event, down?.data.backend], ["backend-down", gone.url]);

  settings.backends.shift();
  const report = await (await fetch(`${proxy.adminUrl}/reload`, { method: "POST" })).json();
  assertEquals(told(await events.nextChange()), ["backend-removed", {
    backend: gone.url,
    reason: "reload",
    state: "active",
  }]);
  const reload = await events.nextChange();
  const { at, ...inReport } = reload?.data ?? {};
  assertEquals([reload?.event, inReport], ["reload", report]);
  assertMatch(at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assertEquals(report.removed, [gone.url]);

  await proxy[Symbol.asyncDispose]();
  assertEquals(await events.nextChange(), undefined);
});
