import { assertEquals } from "@std/assert";
import { EventFeed } from "../../../src/admin/event_feed.ts";
import { PoolNews } from "../../../src/control/pool_news.ts";
import { EventReader } from "../../support/event_stream.ts";
import { RecordingLog } from "../../support/log.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";

Deno.test("PoolNews names backend, pool and id, in the log and to event streams; what is bad news is a warning", async () => {
  const log = new RecordingLog();
  const events = new EventFeed({ status: () => ({}), processId: "here" });
  const pool = poolOf([]);
  const news = new PoolNews({ pool: "api", log, events, told: () => {} });
  pool.subscribe((event) => news.poolChanged(event));
  const backend = pool.add(backendSpec("http://a"), "configured");
  pool.setUp(backend, false, "check failed");
  pool.setUp(backend, true, "check passed");
  const { url, id } = backend;
  assertEquals(log.lines.map(({ level, message, fields }) => [level, message, fields]), [
    ["info", "backend added", { backend: url, pool: "api", id, reason: "configured" }],
    ["warn", "backend down", { backend: url, pool: "api", id, reason: "check failed" }],
    ["info", "backend up", { backend: url, pool: "api", id, reason: "check passed" }],
  ]);
  await using reader = new EventReader(events.open("before", new AbortController().signal));
  const sent = await reader.take(3);
  assertEquals(
    sent.map((event) => [event?.event, event?.data.backend, event?.data.pool, event?.data.id]),
    ["backend-added", "backend-down", "backend-up"].map((name) => [name, url, "api", id]),
  );
  events.close();
});

Deno.test("PoolNews names the pool whose backends serve although all of them are down", async () => {
  const log = new RecordingLog();
  const events = new EventFeed({ status: () => ({}), processId: "here" });
  const news = new PoolNews({ pool: "api", log, events, told: () => {} });
  news.failingOpen(true);
  news.failingOpen(false);
  assertEquals(log.lines.map(({ level, message, fields }) => [level, message, fields["pool"]]), [
    ["warn", "fail open", "api"],
    ["info", "fail open ended", "api"],
  ]);
  await using reader = new EventReader(events.open("before", new AbortController().signal));
  const sent = await reader.take(2);
  assertEquals(sent.map((event) => [event?.event, event?.data.pool, event?.data.active]), [
    ["fail-open", "api", true],
    ["fail-open", "api", false],
  ]);
  events.close();
});
