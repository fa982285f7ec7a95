/** What the store does with what replicas have spent of limits. */

import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { Replica } from "../support/cluster.ts";
import { hasCommand } from "../support/has_command.ts";
import { RedisServer } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

const options = { ignore: !hasCommand("redis-server") };
const HOUR_US = 3_600_000_000;
const KEEP_MS = 60_000;

function spent(field: string, spentUs: number, burstUs = HOUR_US) {
  return { field, spentUs, burstUs };
}

/** What a replica hears, by field. */
async function heardBy(
  { cluster }: Replica,
  ...told: readonly ReturnType<typeof spent>[]
): Promise<Map<string, number>> {
  const settled = await cluster.settle(told, KEEP_MS);
  assert(settled !== undefined, "it can't be settled");
  return new Map(settled.map(({ field, wholeAfterMs }) => [field, wholeAfterMs]));
}

Deno.test("cluster: replicas hear what all have spent, and that a burst at most is spent", options, async () => {
  await using redis = await RedisServer.start();
  await using one = await Replica.start(redis.url);
  await using other = await Replica.start(redis.url);
  for (const replica of [one, other]) await replica.waitUntilUp();
  assertEquals(one.cluster.limits.seed, other.cluster.limits.seed);
  await heardBy(one, spent("a", HOUR_US / 4), spent("b", 10 * HOUR_US));
  const heard = await heardBy(other, spent("a", HOUR_US / 2));
  assertEquals([...heard.keys()].sort(), ["a", "b"]);
  for (const [field, hours] of [["a", 0.75], ["b", 1]] as const) {
    const ms = heard.get(field) ?? 0;
    assertLessOrEqual(ms, hours * 3_600_000);
    assertGreater(ms, hours * 3_600_000 - 30_000);
  }
  assert((await heardBy(one)).has("a"));
  assertEquals([...(await heardBy(one)).keys()], [], "nothing has changed");
});

Deno.test(
  "cluster: the store forgets what is whole again, and a replica hears of many keys in parts",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await using one = await Replica.start(redis.url);
    await using other = await Replica.start(redis.url);
    for (const replica of [one, other]) await replica.waitUntilUp();
    for (let batch = 0; batch < 6; batch++) {
      await heardBy(one, ...Array.from({ length: 500 }, (_, index) => spent(`${batch}-${index}`, HOUR_US)));
    }
    const heard = new Set<string>();
    for (let calls = 0; calls < 3; calls++) for (const field of (await heardBy(other)).keys()) heard.add(field);
    assertEquals(heard.size, 3000);
    await redis.ask("FLUSHALL");
    await heardBy(one, spent("short", 1000));
    const size = async () => [
      await redis.ask("ZCARD", "{roundhouse}:allowances"),
      await redis.ask("ZCARD", "{roundhouse}:spending"),
    ];
    await waitFor(async () => {
      await heardBy(other);
      return (await size()).join() === ":0\r\n,:0\r\n";
    }, { what: "the key to be forgotten" });
  },
);

Deno.test(
  "cluster: with another seed it is that one from then on, and without the store nothing is settled",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await using one = await Replica.start(redis.url);
    await one.waitUntilUp();
    await heardBy(one, spent("a", 1000));
    await redis.ask("SET", "{roundhouse}:seed", "0123456789abcdef");
    assertEquals(await one.cluster.settle([spent("a", 1000)], KEEP_MS), undefined);
    assertEquals(one.cluster.limits.seed, "0123456789abcdef");
    await heardBy(one, spent("a", 1000));
    await redis.ask("DEL", "{roundhouse}:seed");
    await heardBy(one, spent("a", 1000)); // whoever comes first tells the seed again
    await redis.kill();
    assertEquals(await one.cluster.settle([spent("a", 1000)], KEEP_MS), undefined);
  },
);
