/** Replicas whose store is killed, frozen, slow, emptied, split or lying. No call hangs, and nothing is lost. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClusterConflictError, StoreAwayError } from "../../src/cluster/errors.ts";
import { hasCommand } from "../support/has_command.ts";
import { Replica } from "../support/cluster.ts";
import { freePort, RedisServer } from "../support/redis_server.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { waitFor } from "../support/wait.ts";

const ignore = !hasCommand("redis-server");

/** A change is refused or done after 2 s at most. The rest is for a busy machine. */
const LIMIT_MS = 2000 + 3000;

function faultTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `cluster: ${name}`, ignore, fn });
}

/** A change that the store can't take is refused in time, and changes nothing. */
async function refused(replica: Replica, change = () => replica.add("http://refused:1")): Promise<void> {
  const before = replica.list();
  const began = performance.now();
  await assertRejects(change, StoreAwayError);
  assert(performance.now() - began < LIMIT_MS, `refused after ${performance.now() - began} ms`);
  assertEquals(replica.list(), before);
}

/** Tries until the store takes the change. A replica that has just come back may be told of a change that it missed. */
async function eventually(change: () => Promise<void>): Promise<void> {
  await waitFor(async () => {
    try {
      await change();
      return true;
    } catch (error) {
      assert(error instanceof StoreAwayError || error instanceof ClusterConflictError, String(error));
      return false;
    }
  }, { timeoutMs: 30_000, what: "the store to take a change" });
}

async function started(url: string, options: Parameters<typeof Replica.start>[1] = {}): Promise<Replica> {
  const replica = await Replica.start(url, options);
  await replica.waitUntilUp();
  return replica;
}

faultTest("killed, and started again empty: the replica with the newest state fills it", async () => {
  await using redis = await RedisServer.start();
  await using one = await started(redis.url);
  await using other = await started(redis.url);
  await one.add("http://c:1");
  await one.change("http://a:1", { weight: 3 });
  const list = ["http://a:1 3", "http://b:1 1", "http://c:1 1"];
  await other.waitForList(list);
  await redis.kill();
  await one.waitUntilUp(false);
  await other.waitUntilUp(false);
  await refused(one);
  assertEquals([one.list(), other.list()], [list, list]);
  one.cluster.recordLocally({
    kind: "backends",
    pool: "default",
    change: { kind: "change", url: "http://b:1", fields: { weight: 9 } },
  });
  assertEquals([one.list()[1], other.list()[1]], ["http://b:1 9", "http://b:1 1"]);
  await redis.restart();
  await one.waitUntilUp();
  await other.waitUntilUp();
  assertEquals([one.list(), other.list()], [list, list]);
  // A third one gets it all from the store.
  await using third = await started(redis.url);
  await third.waitForList(list);
  await eventually(() => third.remove("http://c:1"));
  await one.waitForList(list.slice(0, 2));
  await other.waitForList(list.slice(0, 2));
  const [first, second = "", last] = one.availability;
  assertEquals([first, second.startsWith("away: "), last], ["up", true, "up"]);
});

faultTest("flushed: nothing is lost, whoever comes first", async () => {
  await using redis = await RedisServer.start();
  await using one = await started(redis.url);
  await using other = await started(redis.url);
  await one.add("http://c:1");
  await other.waitForList(["http://a:1 1", "http://b:1 1", "http://c:1 1"]);
  for (let round = 0; round < 5; round++) {
    await redis.ask("FLUSHALL");
    const changing = round % 2 === 0 ? one : other;
    await eventually(() => changing.change("http://a:1", { weight: 10 + round }));
    const list = [`http://a:1 ${10 + round}`, "http://b:1 1", "http://c:1 1"];
    await one.waitForList(list);
    await other.waitForList(list);
  }
  assertEquals([one.isUp, other.isUp], [true, true]);
});

faultTest("flushed while a replica was away that knows less: it does not bring the old state back", async () => {
  await using redis = await RedisServer.start();
  await using proxy = new TcpProxy(redis.port);
  await using one = await started(redis.url);
  await using away = await started(proxy.url);
  await one.change("http://a:1", { weight: 2 });
  await away.waitForList(["http://a:1 2", "http://b:1 1"]);
  proxy.split();
  await away.waitUntilUp(false);
  await one.change("http://a:1", { weight: 3 });
  await redis.ask("FLUSHALL");
  await eventually(() => one.remove("http://b:1"));
  proxy.join();
  await away.waitForList(["http://a:1 3"]);
  assertEquals(one.list(), ["http://a:1 3"]);
});

faultTest("split from one replica: it goes on, and catches up", async () => {
  await using redis = await RedisServer.start();
  await using proxy = new TcpProxy(redis.port);
  await using one = await started(redis.url);
  await using split = await started(proxy.url);
  await one.add("http://c:1");
  const list = ["http://a:1 1", "http://b:1 1", "http://c:1 1"];
  await split.waitForList(list);
  proxy.split();
  await split.waitUntilUp(false);
  await refused(split);
  await one.remove("http://c:1");
  await one.add("http://d:1");
  assertEquals(split.list(), list);
  proxy.join();
  await split.waitForList(["http://a:1 1", "http://b:1 1", "http://d:1 1"]);
  await split.waitUntilUp();
  await eventually(() => split.add("http://e:1"));
  await one.waitForList(["http://a:1 1", "http://b:1 1", "http://d:1 1", "http://e:1 1"]);
});

faultTest("frozen: a change that was refused is not made when it goes on", async () => {
  await using redis = await RedisServer.start();
  await using one = await started(redis.url);
  await using other = await started(redis.url);
  await one.add("http://c:1");
  const list = ["http://a:1 1", "http://b:1 1", "http://c:1 1"];
  await other.waitForList(list);
  redis.freeze();
  try {
    await Promise.all([refused(one), refused(other, () => other.remove("http://c:1"))]);
    await refused(one, () => one.cluster.clear());
    await one.waitUntilUp(false);
  } finally {
    redis.thaw();
  }
  await one.waitUntilUp();
  await other.waitUntilUp();
  assertEquals([one.list(), other.list(), one.cluster.status().version], [list, list, 1]);
  await eventually(() => one.change("http://c:1", { weight: 2 }));
  await other.waitForList(["http://a:1 1", "http://b:1 1", "http://c:1 2"]);
});

faultTest("slow, 100 ms a reply: everything works", async () => {
  await using redis = await RedisServer.start();
  await using proxy = new TcpProxy(redis.port);
  proxy.delayMs = 100;
  await using one = await started(proxy.url);
  await using other = await started(redis.url);
  for (let weight = 2; weight < 6; weight++) {
    await eventually(() => one.change("http://a:1", { weight }));
    await other.waitForList([`http://a:1 ${weight}`, "http://b:1 1"]);
  }
  await other.add("http://c:1");
  await one.waitForList(["http://a:1 5", "http://b:1 1", "http://c:1 1"]);
});

faultTest("a network that loses what is sent, or what comes back, or cuts the line", async () => {
  await using redis = await RedisServer.start();
  await using proxy = new TcpProxy(redis.port);
  await using one = await started(proxy.url);
  await using other = await started(redis.url);
  const faults: readonly ((on: boolean) => void)[] = [
    (on) => proxy.dropsRequests = on,
    (on) => proxy.dropsReplies = on,
    (on) => on && proxy.cut(),
    (on) => proxy.lie = on ? new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n") : undefined,
    (on) => proxy.lie = on ? new TextEncoder().encode("*2\r\n$5\r\nhello\r\n:1\r\n") : undefined,
    (on) => proxy.lie = on ? new TextEncoder().encode("*1\r\n$4\r\ndone\r\n") : undefined,
    (on) => proxy.lie = on ? new Uint8Array(65_536).fill(0xff) : undefined,
    (on) => proxy.lie = on ? new TextEncoder().encode(`$${10 ** 9}\r\n${"x".repeat(60_000)}`) : undefined,
  ];
  for (const [index, fault] of faults.entries()) {
    const before = one.list();
    fault(true);
    const began = performance.now();
    await one.change("http://a:1", { weight: 100 + index }).catch((error) =>
      assert(error instanceof StoreAwayError, String(error))
    );
    assert(performance.now() - began < LIMIT_MS, `fault ${index} took ${performance.now() - began} ms`);
    fault(false);
    await one.waitUntilUp();
    await waitFor(() => one.list().join() === other.list().join(), {
      timeoutMs: 30_000,
      what: `both to agree after fault ${index}: ${one.list()}, ${other.list()}, before ${before}`,
    });
    await eventually(() => one.change("http://a:1", { weight: index + 2 }));
    await other.waitForList([`http://a:1 ${index + 2}`, "http://b:1 1"]);
  }
});

faultTest("refuses: a wrong password, none, no room, no writes", async () => {
  await using redis = await RedisServer.start("--requirepass", "right");
  const withPassword = (password: string) => redis.url.replace("//", `//:${password}@`);
  {
    await using wrong = await Replica.start(withPassword("wrong"));
    await using none = await Replica.start(redis.url);
    await waitFor(() => /^WRONGPASS/.test(wrong.cluster.status().error ?? ""), {
      timeoutMs: 20_000,
      what: "WRONGPASS",
    });
    await waitFor(() => /^NOAUTH/.test(none.cluster.status().error ?? ""), { timeoutMs: 20_000, what: "NOAUTH" });
    await refused(wrong);
    await refused(none);
  }
  await using right = await started(`${withPassword("right")}/3`);
  await right.add("http://c:1");

  await using open = await RedisServer.start();
  await using one = await started(open.url);
  await one.add("http://c:1");
  const list = ["http://a:1 1", "http://b:1 1", "http://c:1 1"];
  const faults: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["READONLY", ["REPLICAOF", "127.0.0.1", `${freePort()}`], ["REPLICAOF", "NO", "ONE"]],
    ["OOM", ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]],
  ];
  for (const [word, begin, end] of faults) {
    await open.ask(...begin);
    await refused(one);
    await waitFor(() => one.cluster.status().error?.includes(word) ?? false, { timeoutMs: 20_000, what: word });
    assertEquals([one.isUp, one.list()], [false, list]);
    await open.ask(...end);
    await one.waitUntilUp();
    await eventually(() => one.change("http://c:1", { weight: 1 }));
  }
});

faultTest("a document that somebody else has damaged changes nothing, and is named", async () => {
  await using redis = await RedisServer.start();
  await using one = await started(redis.url);
  await one.add("http://c:1");
  const list = ["http://a:1 1", "http://b:1 1", "http://c:1 1"];
  const key = "{roundhouse}:changes";
  await redis.ask("HSET", key, "default\nhttp://a:1", "nonsense", "version", "9-0123456789ab");
  await waitFor(() => one.cluster.status().error?.includes(`"http://a:1" in pool "default"`) ?? false, {
    timeoutMs: 20_000,
    what: "the damaged entry to be named",
  });
  assertEquals([one.isUp, one.list()], [false, list]);
  await refused(one);
  await redis.ask("DEL", key);
  await redis.ask("SET", key, "x");
  await waitFor(() => one.cluster.status().error?.includes("WRONGTYPE") ?? false, {
    timeoutMs: 20_000,
    what: "WRONGTYPE",
  });
  await redis.ask("DEL", key);
  await one.waitUntilUp();
  await using other = await started(redis.url);
  await other.waitForList(list);
});

faultTest("away at the start: the last state, else the file; a host that does not exist is no error", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await using redis = await RedisServer.start();
    {
      await using one = await started(redis.url, { directory });
      await one.add("http://c:1");
    }
    await redis.kill();
    {
      await using one = await Replica.start(redis.url, { directory });
      assertEquals([one.isUp, one.list()], [false, ["http://a:1 1", "http://b:1 1", "http://c:1 1"]]);
      await using fresh = await Replica.start("redis://no-such-host.invalid:1", { directory });
      assertEquals(fresh.list(), ["http://a:1 1", "http://b:1 1"]);
      await refused(fresh);
      await redis.restart();
      await one.waitUntilUp();
    }
    // It has filled the store.
    await using other = await started(redis.url);
    await other.waitForList(["http://a:1 1", "http://b:1 1", "http://c:1 1"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

faultTest("replicas hear of each other, and of what each thinks of the backends", async () => {
  await using redis = await RedisServer.start();
  await using one = await started(redis.url, { admin: () => "10.0.0.1:8081" });
  {
    await using other = await started(redis.url, { admin: () => "10.0.0.2:8081" });
    one.cluster.report({ default: { "http://a:1": "up" } });
    other.cluster.report({ default: { "http://a:1": "down" } });
    await waitFor(() => other.cluster.status().replicas.every(({ health }) => health !== null), {
      timeoutMs: 30_000,
      what: "the views of both",
    });
    const { id, replicas } = other.cluster.status();
    assertEquals(replicas.length, 2);
    for (const { self, admin, health, ...rest } of replicas) {
      assertEquals([self, admin], [rest.id === id, rest.id === id ? "10.0.0.2:8081" : "10.0.0.1:8081"]);
      assertEquals(health, { default: { "http://a:1": self ? "down" : "up" } });
    }
  }
  await waitFor(() => one.cluster.status().replicas.length === 1, {
    timeoutMs: 60_000,
    what: "the other one to leave",
  });
});
