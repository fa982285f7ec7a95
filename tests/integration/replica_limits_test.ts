// A limit for one client was a limit of each replica: with two of them, the client could send twice as much.

import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RedisServer } from "../support/redis_server.ts";
import { ReplicaProxy } from "../support/replica_proxy.ts";
import { waitFor } from "../support/wait.ts";

const options = { ignore: !hasCommand("redis-server") };
if (options.ignore) console.log("limits over replicas skipped: no redis-server");

/** No request may take longer, whatever happens to the store. */
const LONGEST_MS = 5000;

interface Flood {
  readonly sent: number;
  readonly passed: number;
  readonly seconds: number;
  readonly longestMs: number;
}

/** After each refusal a client waits this long. Four of them still ask for more than ten times what may pass. */
const REFUSED_MS = 4;

/** Sends to all replicas, until it is over. */
async function flood(replicas: readonly ReplicaProxy[], isOver: (passed: number) => boolean): Promise<Flood> {
  const startedAt = performance.now();
  let sent = 0;
  let passed = 0;
  let longestMs = 0;
  const send = async (url: string) => {
    while (!isOver(passed)) {
      const begin = performance.now();
      sent++;
      const response = await fetch(url);
      await response.text();
      if (response.status === 200) passed++;
      else assertEquals(response.status, 429);
      longestMs = Math.max(longestMs, performance.now() - begin);
      if (response.status === 429) await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
    }
  };
  await Promise.all(replicas.flatMap(({ proxy }) => [send(proxy.url), send(proxy.url)]));
  return { sent, passed, seconds: (performance.now() - startedAt) / 1000, longestMs };
}

for (const [engine, workers] of [["wire", 1], ["fetch", 2]] as const) {
  Deno.test(
    `${engine}, ${workers} workers: two replicas let through what one limit allows, with the store and without it`,
    options,
    async () => {
      await using redis = await RedisServer.start();
      await using backend = HttpBackend.named("b");
      const rateLimit = { requests: 40, per: "1s", burst: 60, scope: "cluster" } as const;
      const settings = { engine, backends: [backend.url], proxy: { workers }, rateLimit };
      await using one = await ReplicaProxy.start(redis.url, settings);
      await using two = await ReplicaProxy.start(redis.url, settings);
      const replicas = [one, two];
      for (const { proxy } of replicas) {
        const { limits } = proxy.roundhouse.memory;
        await waitFor(() => limits.replicas === 2 && limits.settles, { what: "both to settle with both" });
      }
      // A busy machine may send less than the limit lets through.
      const atLeast = ({ sent, passed }: Flood, wanted: number) =>
        assertGreaterOrEqual(
          passed,
          Math.min(wanted, sent / 2),
          `${passed} of ${sent} passed, which is far less than the limit`,
        );
      const atMost = ({ passed, seconds, longestMs }: Flood, burst: number) => {
        assertLessOrEqual(passed, (40 * seconds + burst) * 1.1 + 2 * workers);
        assertLessOrEqual(longestMs, LONGEST_MS);
      };
      const within = (flooded: Flood, burst: number) => {
        atMost(flooded, burst);
        atLeast(flooded, 40 * flooded.seconds * 0.5 - 10);
      };
      const until = (ms: number) => {
        const end = performance.now() + ms;
        return () => performance.now() >= end;
      };
      within(await flood(replicas, until(3000)), 60);
      // A client that comes to one of them only. A share of the rate would be 20 a second, and few of the burst are left.
      // On a busy machine the two settle late, so it may take a while until one of them gets more.
      let aside: Flood;
      const late = until(30_000);
      do {
        aside = await flood([one], until(2000));
        atMost(aside, 60);
      } while (aside.passed < 30 * aside.seconds && !late());
      atLeast(aside, 30 * aside.seconds);

      let isAway = false;
      const flooding = flood(replicas, () => isAway);
      await redis.kill();
      for (const replica of replicas) await replica.waitForStore(false);
      isAway = true;
      within(await flooding, 60);
      within(await flood(replicas, until(2000)), 60);
      await waitFor(() => replicas.every(({ proxy }) => !proxy.roundhouse.memory.limits.settles), {
        what: "fixed shares",
      });
      assertEquals(replicas.map(({ proxy }) => proxy.roundhouse.memory.limits.replicas), [2, 2]);

      // A start without the store knows how many there were.
      await two.restart();
      assertEquals(two.proxy.roundhouse.memory.limits.replicas, 2);

      // And what keys are made with, so that it can settle with the others when the store is there.
      await redis.restart();
      for (const { proxy } of [one, two]) {
        await waitFor(() => proxy.roundhouse.memory.limits.settles, { timeoutMs: 30_000, what: "to settle again" });
      }
      within(await flood(replicas, until(2000)), 60);
    },
  );
}

Deno.test(
  "replicas that started without the store, and knew nothing, have one limit when it is there",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await redis.kill();
    await using backend = HttpBackend.named("b");
    const rateLimit = { requests: 1, per: "1h", burst: 60, scope: "cluster" } as const;
    await using one = await ReplicaProxy.start(redis.url, { backends: [backend.url], rateLimit });
    await using two = await ReplicaProxy.start(redis.url, { backends: [backend.url], rateLimit });
    await redis.restart();
    for (const { proxy } of [one, two]) {
      const { limits } = proxy.roundhouse.memory;
      await waitFor(() => limits.replicas === 2 && limits.settles, {
        timeoutMs: 30_000,
        what: "both to settle with both",
      });
    }
    let passed = 0;
    const isOver = (end: number) => () => performance.now() >= end;
    const late = isOver(performance.now() + 30_000);
    passed += (await flood([one], (count) => count >= 40 || late())).passed;
    assertGreaterOrEqual(passed, 40);
    passed += (await flood([two], isOver(performance.now() + 1000))).passed;
    assertLessOrEqual(passed, 60 * 1.1 + 2);
  },
);
