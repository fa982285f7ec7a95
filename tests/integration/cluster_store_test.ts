/** Replicas that share their changes through a real Redis. */

import { assertEquals } from "@std/assert";
import { ClusterConflictError } from "../../src/cluster/errors.ts";
import { hasCommand } from "../support/has_command.ts";
import { Replica } from "../support/cluster.ts";
import { RedisServer } from "../support/redis_server.ts";

const ignore = !hasCommand("redis-server");
if (ignore) console.log("cluster tests skipped: no redis-server");

Deno.test({
  name: "a change through one replica reaches the others",
  ignore,
  async fn() {
    await using redis = await RedisServer.start();
    await using one = await Replica.start(redis.url);
    await using other = await Replica.start(redis.url);
    assertEquals([one.isUp, other.isUp], [true, true]);
    await one.add("http://c:1", { weight: 3 });
    await one.change("http://a:1", { weight: 7 });
    await other.waitForList(["http://a:1 7", "http://b:1 1", "http://c:1 3"]);
    await other.remove("http://b:1");
    await one.waitForList(["http://a:1 7", "http://c:1 3"]);
    await other.cluster.clear();
    await one.waitForList(["http://a:1 1", "http://b:1 1"]);
    assertEquals(other.list(), one.list());
  },
});

Deno.test({
  name: "of two changes of the same backend at once, one wins",
  ignore,
  async fn() {
    await using redis = await RedisServer.start();
    await using one = await Replica.start(redis.url);
    await using other = await Replica.start(redis.url);
    for (let round = 0; round < 20; round++) {
      const weights = [2 * round + 10, 2 * round + 11];
      const results = await Promise.allSettled(
        [one, other].map((replica, index) => replica.change("http://a:1", { weight: weights[index] ?? 0 })),
      );
      const lost = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
      const won = results.findIndex(({ status }) => status === "fulfilled");
      assertEquals([lost.length, lost[0] instanceof ClusterConflictError], [1, true], String(lost[0]));
      const wanted = [`http://a:1 ${weights[won]}`, "http://b:1 1"];
      assertEquals(lost[0].present.fields.weight, weights[won]);
      await one.waitForList(wanted);
      await other.waitForList(wanted);
    }
    await Promise.all([one.change("http://a:1", { weight: 1 }), other.change("http://b:1", { weight: 2 })]);
    await one.waitForList(["http://a:1 1", "http://b:1 2"]);
    await other.waitForList(["http://a:1 1", "http://b:1 2"]);
  },
});
