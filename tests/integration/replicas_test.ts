// Two roundhouses that act as one through a real Redis. They were two: each had to be told every change, a restart lost
// what had been changed, and operators who worked at the same backend overwrote each other.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { EventReader } from "../support/event_stream.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { readPage } from "../support/page.ts";
import { RedisServer } from "../support/redis_server.ts";
import { ReplicaProxy, SteadyLoad } from "../support/replica_proxy.ts";
import { waitFor } from "../support/wait.ts";

const options = { ignore: !hasCommand("redis-server") };
if (options.ignore) console.log("replicas tests skipped: no redis-server");

/** A change has reached the others by then. More than the promised second, because tests share a busy machine. */
const SOON_MS = 5000;

/** No request may take longer, whatever happens to the store. */
const LONGEST_MS = 5000;

Deno.test("a change through one replica reaches the other, as if it had been made there", options, async () => {
  await using redis = await RedisServer.start();
  await using a = HttpBackend.named("a");
  await using b = HttpBackend.named("b");
  await using c = HttpBackend.named("c");
  const settings = { backends: [a.url, b.url] };
  await using one = await ReplicaProxy.start(redis.url, settings);
  await using two = await ReplicaProxy.start(redis.url, settings);
  const times = [];
  await one.patch(a.url, { weight: 3, state: "draining" });
  times.push(await two.waitForList([`${a.url} 3 draining`, `${b.url} 1 active`]));
  await two.patch(a.url, { state: "active" });
  times.push(await one.waitForList([`${a.url} 3 active`, `${b.url} 1 active`]));
  assertEquals((await two.change("POST", "/backends", { url: c.url, weight: 2 })).status, 201);
  times.push(await one.waitForList([`${a.url} 3 active`, `${b.url} 1 active`, `${c.url} 2 active`]));
  assertEquals((await one.change("DELETE", `/backends?url=${b.url}`)).status, 200);
  times.push(await two.waitForList([`${a.url} 3 active`, `${c.url} 2 active`]));
  const deployed = await two.change("PUT", "/backends", { backends: [b.url, { url: c.url, weight: 5 }], drain: "5s" });
  assertEquals([deployed.status, deployed.body.added, deployed.body.removed], [200, [b.url], [a.url]]);
  times.push(await one.waitForList([`${b.url} 1 active`, `${c.url} 5 active`]));
  assert(Math.max(...times) < SOON_MS, `the changes took ${times.map(Math.round)} ms`);

  const changed = one.proxy.log.lines.filter(({ fields }) => fields["reason"] === "another replica").map((
    { message },
  ) => message);
  for (const message of ["backend added", "backend removed", "backend enabled"]) {
    assert(changed.includes(message), message);
  }
  assertEquals((await (await fetch(one.proxy.url)).text()).length, 1);

  const { body, status } = await one.change("DELETE", "/cluster/changes");
  assertEquals([status, body.dropped > 0], [200, true]);
  await two.waitForList([`${a.url} 1 active`, `${b.url} 1 active`]);
  assertEquals(await one.list(), await two.list());
});

Deno.test(
  "a removal with a drain drains at all replicas, and a PATCH to active at another one calls it off",
  options,
  async () => {
    await using redis = await RedisServer.start();
    const held = Promise.withResolvers<void>();
    await using a = new HttpBackend(async ({ url }) => {
      if (url.endsWith("/held")) await held.promise;
      return new Response("a");
    });
    await using b = HttpBackend.named("b");
    const settings = { backends: [a.url, b.url], strategy: "uri-hash" };
    await using one = await ReplicaProxy.start(redis.url, settings);
    await using two = await ReplicaProxy.start(redis.url, settings);
    // One request stays at the backend, at each replica.
    await one.patch(b.url, { weight: 0 });
    await two.waitForList([`${a.url} 1 active`, `${b.url} 0 active`]);
    const requests = [one, two].map(({ proxy }) => fetch(`${proxy.url}/held`).then((response) => response.text()));
    await waitFor(() => a.requests === 2, { what: "both requests" });
    await one.patch(b.url, { weight: 1 });

    const removal = one.change("DELETE", `/backends?url=${a.url}&drain=60s`);
    await two.waitForList([`${a.url} 1 draining`, `${b.url} 1 active`]);
    await two.patch(a.url, { state: "active" });
    const { status, body } = await removal;
    assertEquals(status, 409);
    assertMatch(body.detail, /was changed by another replica, so it is not removed/);
    await one.waitForList([`${a.url} 1 active`, `${b.url} 1 active`]);

    const again = two.change("DELETE", `/backends?url=${a.url}&drain=60s`);
    await one.waitForList([`${a.url} 1 draining`, `${b.url} 1 active`]);
    // Other changes do not end the drain.
    await one.patch(b.url, { weight: 2 });
    await two.waitForList([`${a.url} 1 draining`, `${b.url} 2 active`]);
    held.resolve();
    assertEquals(await Promise.all(requests), ["a", "a"]);
    assertEquals((await again).status, 200);
    await one.waitForList([`${b.url} 2 active`]);
    await two.waitForList([`${b.url} 2 active`]);
  },
);

Deno.test(
  "of two changes of one backend at once, one gets 409 with what the other has made of it",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await using a = HttpBackend.named("a");
    await using one = await ReplicaProxy.start(redis.url, { backends: [a.url] });
    await using two = await ReplicaProxy.start(redis.url, { backends: [a.url] });
    let lost = 0;
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        [one, two].map((replica, index) =>
          replica.call("PATCH", "/backends", { url: a.url, weight: 10 + 2 * round + index })
        ),
      );
      const winner = answers.find(({ status }) => status === 200);
      assert(winner !== undefined, "nobody has won");
      for (const { status, body } of answers) {
        if (status === 200) continue;
        lost++;
        assertEquals(status, 409);
        const { weight } = winner.body;
        assertEquals(body.present, { url: a.url, weight, maxConnections: null, backup: false, state: "active" });
      }
      const list = [`${a.url} ${answers.filter(({ status }) => status === 200).at(-1)?.body.weight} active`];
      if (answers.every(({ status }) => status === 200)) continue; // one was made after the other
      await one.waitForList(list);
      await two.waitForList(list);
    }
    assert(lost > 0, "in no round the two met");
    assertEquals(await one.list(), await two.list());
  },
);

/** What can happen to a store. Each ends with a store that answers. */
const OUTAGES: Readonly<Record<string, (redis: RedisServer, isAway: () => Promise<void>) => Promise<void>>> = {
  async "killed, and started again empty"(redis, isAway) {
    await redis.kill();
    await isAway();
    await redis.restart();
  },
  async frozen(redis, isAway) {
    redis.freeze();
    await isAway();
    redis.thaw();
  },
  async flushed(redis) {
    await redis.ask("FLUSHALL");
  },
};

for (const [name, outage] of Object.entries(OUTAGES)) {
  Deno.test(`a store that is ${name} fails and slows no request, and loses nothing`, options, async () => {
    await using redis = await RedisServer.start();
    await using a = HttpBackend.named("a");
    await using b = HttpBackend.named("b");
    const settings = { backends: [a.url, b.url] };
    await using one = await ReplicaProxy.start(redis.url, settings);
    await using two = await ReplicaProxy.start(redis.url, settings);
    await one.patch(a.url, { weight: 3 });
    await two.waitForList([`${a.url} 3 active`, `${b.url} 1 active`]);
    await using load = new SteadyLoad([one, two].map(({ proxy }) => proxy.url));
    await load.goesOn();
    await outage(redis, async () => {
      for (const replica of [one, two]) await replica.waitForStore(false);
      await saysSo(one);
      await refusesChanges(one, a.url);
      await load.goesOn();
      // For this replica alone, until the store is back.
      assertEquals((await one.call("PATCH", "/backends?local=true", { url: b.url, weight: 9 })).status, 200);
      assertEquals(await one.list(), [`${a.url} 3 active`, `${b.url} 9 active`].sort());
      assertEquals(await two.list(), [`${a.url} 3 active`, `${b.url} 1 active`].sort());
      assertEquals((await one.get("/cluster")).local.length, 1);
    });
    for (const replica of [one, two]) await replica.waitForStore(true);
    for (const replica of [one, two]) await replica.waitForList([`${a.url} 3 active`, `${b.url} 1 active`]);
    // The change is in the store again: a replica that knows nothing yet gets it.
    await waitFor(async () => (await redis.ask("KEYS", "*")).includes("roundhouse"), {
      what: "the store to be filled",
    });
    await using three = await ReplicaProxy.start(redis.url, settings);
    await three.waitForList([`${a.url} 3 active`, `${b.url} 1 active`]);
    await two.patch(b.url, { weight: 4 });
    await one.waitForList([`${a.url} 3 active`, `${b.url} 4 active`]);
    await load.goesOn();
    await load[Symbol.asyncDispose]();
    assertEquals(load.failures, [], `of ${load.requests}`);
    assert(load.longestMs < LONGEST_MS, `${load.longestMs} ms`);
  });
}

/** `/status`, `/cluster`, the metrics and `/readyz` while the store is away. */
async function saysSo(replica: ReplicaProxy): Promise<void> {
  const { cluster } = await replica.get("/status");
  assertEquals([cluster.up, typeof cluster.error, typeof cluster.lastSuccess], [false, "string", "string"]);
  assertEquals((await replica.get("/cluster")).up, false);
  const metrics = await (await fetch(`${replica.proxy.adminUrl}/metrics`)).text();
  assertMatch(metrics, /^roundhouse_cluster_up 0$/m);
  assertEquals((await replica.get("/readyz")).status, "ready");
}

/** A change is 503, and changes nothing, not later either. */
async function refusesChanges(replica: ReplicaProxy, url: string): Promise<void> {
  const before = await replica.list();
  const body = { url: "http://127.0.0.9:8765" };
  const answers = [
    await replica.call("PATCH", "/backends", { url, weight: 77, state: "disabled" }),
    await replica.call("POST", "/backends", body),
    await replica.call("DELETE", `/backends?url=${url}`),
    await replica.call("DELETE", `/backends?url=${url}&drain=5s`),
    await replica.call("DELETE", "/cluster/changes"),
  ];
  assertEquals(answers.map(({ status }) => status), [503, 503, 503, 503, 503]);
  for (const { body } of answers) assertMatch(body.detail, /store/);
  assertEquals(await replica.list(), before);
}

Deno.test("the events say that the store is away, and that it is back", options, async () => {
  await using redis = await RedisServer.start();
  await using a = HttpBackend.named("a");
  await using one = await ReplicaProxy.start(redis.url, { backends: [a.url] });
  const response = await fetch(`${one.proxy.adminUrl}/events`);
  assert(response.body !== null);
  await using events = new EventReader(response.body);
  assertEquals((await events.next())?.event, "stats");
  await redis.kill();
  const lost = await events.nextChange();
  assertEquals([lost?.event, typeof lost?.data.error], ["cluster-lost", "string"]);
  await redis.restart();
  assertEquals((await events.nextChange())?.event, "cluster-recovered");
});

Deno.test(
  "a restart keeps the changes, with the store and without it; a reload, too, unless the file says otherwise",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await using a = HttpBackend.named("a");
    await using b = HttpBackend.named("b");
    await using c = HttpBackend.named("c");
    const settings = { backends: [a.url, b.url] };
    await using one = await ReplicaProxy.start(redis.url, settings);
    await one.patch(a.url, { weight: 3, state: "disabled" });
    await one.change("POST", "/backends", { url: c.url });
    await one.change("DELETE", `/backends?url=${b.url}`);
    const list = [`${a.url} 3 disabled`, `${c.url} 1 active`];
    await one.restart();
    assertEquals(await one.list(), [...list].sort());
    await redis.kill();
    await one.restart();
    assertEquals(await one.list(), [...list].sort(), "without the store");
    assertEquals((await one.get("/status")).cluster.up, false);
    await redis.restart();
    await one.waitForStore(true);

    assertEquals((await one.call("POST", "/reload")).status, 200);
    assertEquals(await one.list(), [...list].sort());
    one.configure({ backends: [{ url: a.url, weight: 2 }, b.url] });
    assertEquals((await one.call("POST", "/reload")).status, 200);
    assertEquals(await one.list(), [`${a.url} 2 active`, `${c.url} 1 active`].sort());
  },
);

Deno.test("GET /cluster says where replicas disagree about a backend", options, async () => {
  await using redis = await RedisServer.start();
  await using a = new HttpBackend(({ headers }) => new Response("a", { status: headers.has("x-bad") ? 500 : 200 }));
  await using b = HttpBackend.named("b");
  const settings = { backends: [a.url, b.url] };
  const health = { type: "http", interval: "100ms" } as const;
  await using one = await ReplicaProxy.start(redis.url, { ...settings, health });
  await using two = await ReplicaProxy.start(redis.url, {
    ...settings,
    health: { ...health, path: "/", headers: { "X-Bad": "1" } },
  });
  const disagreements = async () => (await one.get("/cluster")).disagreements;
  await waitFor(async () => (await disagreements()).length === 1, { what: "the replicas to disagree" });
  const { id, replicas } = await one.get("/cluster");
  assertEquals(replicas.length, 2);
  const other = replicas.find(({ self }: { self: boolean }) => !self);
  assertEquals(replicas.find(({ self }: { self: boolean }) => self).id, id);
  assertEquals(`http://${other.admin}`, two.proxy.adminUrl);
  assertEquals(other.health.default, { [a.url]: "down", [b.url]: "up" });
  assert(other.ageMs >= 0 && other.ageMs < 60_000, `${other.ageMs}`);
  assertEquals(await disagreements(), [{ pool: "default", backend: a.url, up: [id], down: [other.id] }]);
  await waitFor(async () => (await two.get("/status")).cluster.disagreements === 1, { what: "the other to see it" });
});

Deno.test("the user that docs/replicas.md gives the replicas may do what they need", options, async () => {
  const page = readPage("docs/replicas.md");
  const [, words = ""] = /`(ACL SETUSER [^`]+)`/.exec(page) ?? [];
  await using redis = await RedisServer.start();
  assertMatch(await redis.ask(...words.split(" ")), /^\+OK/);
  const url = redis.url.replace("redis://", "redis://roundhouse:PASSWORD@");
  await using a = HttpBackend.named("a");
  await using one = await ReplicaProxy.start(url, { backends: [a.url] });
  await using two = await ReplicaProxy.start(url, { backends: [a.url] });
  await one.patch(a.url, { weight: 3 });
  await two.waitForList([`${a.url} 3 active`]);
  await waitFor(async () => (await one.get("/cluster")).replicas.length === 2, { what: "both replicas" });
  assertEquals((await two.change("DELETE", "/cluster/changes")).status, 200);
  await one.waitForList([`${a.url} 1 active`]);
  const { cluster } = await one.get("/config");
  assertEquals(cluster.redis.includes("PASSWORD"), false);
});

Deno.test(
  "weight and state of discovered backends are shared, and outlive what the source says and restarts",
  options,
  async () => {
    await using redis = await RedisServer.start();
    await using a = HttpBackend.named("a");
    await using b = HttpBackend.named("b");
    await using c = HttpBackend.named("c");
    using folder = new TemporaryDirectory();
    const discover = { file: folder.write("backends.json", JSON.stringify([a.url, b.url])), refresh: "200ms" };
    await using one = await ReplicaProxy.start(redis.url, { discover });
    await using two = await ReplicaProxy.start(redis.url, { discover });
    await one.patch(a.url, { weight: 3, state: "draining" });
    await two.waitForList([`${a.url} 3 draining`, `${b.url} 1 active`]);
    await two.patch(a.url, { weight: 4 });
    await one.waitForList([`${a.url} 4 draining`, `${b.url} 1 active`]);
    folder.write("backends.json", JSON.stringify([{ url: a.url, weight: 7 }, c.url]));
    for (const replica of [one, two]) await replica.waitForList([`${a.url} 4 draining`, `${c.url} 1 active`]);
    await two.restart();
    await two.waitForList([`${a.url} 4 draining`, `${c.url} 1 active`]);
    assertEquals((await two.call("DELETE", `/backends?url=${a.url}`)).status, 409);
    await one.change("DELETE", "/cluster/changes");
    for (const replica of [one, two]) await replica.waitForList([`${a.url} 7 active`, `${c.url} 1 active`]);
  },
);

Deno.test(
  "a replica leaves out a backend of another one that its engine can't reach, or that is itself",
  options,
  async () => {
    // What the store says is believed no more than a source: such a backend got requests that all failed, or came back.
    await using redis = await RedisServer.start();
    await using a = HttpBackend.named("a");
    await using one = await ReplicaProxy.start(redis.url, { backends: [a.url], engine: "wire" });
    await using two = await ReplicaProxy.start(redis.url, { backends: [a.url], engine: "fetch" });
    for (const url of ["http://127.0.0.9:6000", two.proxy.url]) {
      assertEquals((await one.change("POST", "/backends", { url })).status, 201);
      await waitFor(() => two.proxy.log.of("shared backend not used").some(({ fields }) => fields["backend"] === url), {
        what: "the line of the log",
      });
    }
    await one.patch(a.url, { weight: 2 });
    await two.waitForList([`${a.url} 2 active`]);
    assertEquals(two.proxy.log.of("shared backend not used").length, 2);
  },
);
