// What a rate limit and a limit of requests in flight answer, by themselves.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../../src/config/schema.ts";
import { NO_ROUTE } from "../../../src/memory/route_counts.ts";
import type { HeaderPair } from "../../../src/proxy/message.ts";
import { RoutedBench, valueIn } from "../../support/routed_bench.ts";

const POOLS: ConfigFile = { backends: ["http://default"], pools: { api: { backends: ["http://api"] } } };
/** So slow that no time that a test takes gives a request back. */
const SLOW = { requests: 1, per: "24h" } as const;

interface Asked {
  readonly peer?: string;
  readonly target?: string;
  readonly headers?: HeaderPair[];
}

async function told(bench: RoutedBench, asked: Asked = {}) {
  const { to, answer, headers } = await bench.ask(asked);
  const all = answer?.headers ?? headers;
  return {
    to,
    policy: valueIn(all, "ratelimit-policy"),
    state: valueIn(all, "ratelimit"),
    after: valueIn(all, "retry-after"),
  };
}

Deno.test("every answer tells the limit and what is left of it, as the draft writes it; over it there is 429", async () => {
  using bench = new RoutedBench({ ...POOLS, rateLimit: { requests: 2, per: "1h" } });
  const policy = '"default";q=2;w=3600';
  assertEquals(await told(bench), { to: "default", policy, state: '"default";r=1;t=1800', after: undefined });
  assertEquals(await told(bench), { to: "default", policy, state: '"default";r=0;t=3600', after: undefined });
  assertEquals(await told(bench), { to: "429", policy, state: '"default";r=0;t=3600', after: "1800" });
  assertEquals((await told(bench, { peer: "10.9.9.9" })).to, "default", "another client");
  assertEquals(bench.memory.requestTotals().failed, 0);
  const { routes } = bench.memory;
  assertEquals([routes.refused(NO_ROUTE, "rateLimit"), routes.overLimit(NO_ROUTE)], [1, 1]);
});

Deno.test("the policy has whole seconds for any time, and says the burst where it differs", async () => {
  const cases: [NonNullable<ConfigFile["rateLimit"]>, string][] = [
    [{ requests: 100 }, '"default";q=100;w=1'],
    [{ requests: 100, per: "60s" }, '"default";q=100;w=60'],
    [{ requests: 3, per: "500ms" }, '"default";q=6;w=1'],
    [{ requests: 1, per: "1.5s" }, '"default";q=2;w=3'],
    [{ requests: 5, burst: 5 }, '"default";q=5;w=1'],
    [{ requests: 5, burst: 20 }, '"default";q=5;w=1;roundhouse-burst=20'],
  ];
  for (const [rateLimit, policy] of cases) {
    using bench = new RoutedBench({ ...POOLS, rateLimit });
    assertEquals((await told(bench)).policy, policy);
  }
});

Deno.test("redirects, responses, refusals and what no route takes are counted and told as well", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    rateLimit: { ...SLOW, burst: 4 },
    routes: { "x/*": "api", "x/moved": { redirect: "/" }, "x/page": { respond: 200 } },
  });
  assertEquals((await told(bench)).state, '"default";r=3;t=86400');
  assertEquals((await told(bench, { target: "/moved" })).state, '"default";r=2;t=172800');
  assertEquals((await told(bench, { target: "/page" })).to, "200");
  const missing = await bench.ask({ authority: "nowhere" });
  assertEquals([missing.to, valueIn(missing.answer?.headers ?? [], "ratelimit")], ["404", '"default";r=0;t=345600']);
  assertEquals((await told(bench, { target: "/page" })).to, "429");
});

Deno.test("what inherits a limit shares its count, and a route's own or none stands apart", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    rateLimit: SLOW,
    routes: {
      "x/a": "api",
      "x/b": { pool: "api", maxBodySize: 5 },
      "x/own": [{ name: "own", pool: "api", rateLimit: SLOW }],
      "x/free": { pool: "api", rateLimit: null },
    },
  });
  assertEquals((await told(bench, { target: "/a" })).to, "api");
  assertEquals((await told(bench, { target: "/b" })).to, "429");
  assertEquals((await told(bench, { target: "/own" })).to, "api");
  assertEquals((await told(bench, { target: "/own" })).to, "429");
  const free = await told(bench, { target: "/free" });
  assertEquals([free.to, free.policy], ["api", undefined]);
});

Deno.test("a limit counts by route, header or cookie; without these by client", async () => {
  const by = (by: string, asked: Asked[]) => {
    const bench = new RoutedBench({ ...POOLS, rateLimit: { ...SLOW, by } });
    return Promise.all(asked.map((one) => bench.ask(one).then(({ to }) => to))).finally(() => bench[Symbol.dispose]());
  };
  const peers: Asked[] = [{ peer: "10.0.0.1" }, { peer: "10.0.0.2" }, { peer: "2001:db8::1" }, { peer: "2001:db8::2" }];
  assertEquals(await by("client", peers), ["default", "default", "default", "429"]);
  assertEquals(await by("route", peers), ["default", "429", "429", "429"]);
  const keyed = (name: string, value: string, peer = "10.0.0.1"): Asked => ({ peer, headers: [[name, value]] });
  const keys = [keyed("X-Key", "a"), keyed("x-key", "a", "10.0.0.2"), keyed("X-Key", "b"), keyed("X-Other", "c")];
  assertEquals(await by("header:X-Key", [...keys, keyed("X-Key", ""), keyed("X_Key", "d")]), [
    ...["default", "429", "default", "default"],
    ...["429", "429"], // an empty one, and another spelling, are the client
  ]);
  const cookies = [keyed("Cookie", "id=1; x=2"), keyed("Cookie", "x=3; id=1"), keyed("Cookie", "id=2"), {
    peer: "10.0.0.9",
  }];
  assertEquals(await by("cookie:id", cookies), ["default", "429", "default", "default"]);
  const claims = [keyed("X-Real-IP", "a"), keyed("X-Real-IP", "b")];
  assertEquals(await by("header:X-Real-IP", claims), ["default", "429"], "nobody believes it, so it is the client");
});

Deno.test("a limit that is not enforced refuses nobody, tells nobody, and counts", async () => {
  using bench = new RoutedBench({ ...POOLS, rateLimit: { ...SLOW, enforce: false } });
  for (let asked = 0; asked < 3; asked++) {
    assertEquals(await told(bench), { to: "default", policy: undefined, state: undefined, after: undefined });
  }
  const { routes } = bench.memory;
  assertEquals([routes.refused(NO_ROUTE, "rateLimit"), routes.overLimit(NO_ROUTE)], [0, 2]);
});

Deno.test("a client that deny refuses spends nothing, and one over its rate takes no place", async () => {
  using bench = new RoutedBench({ ...POOLS, deny: ["10.0.0.1"], rateLimit: { ...SLOW, by: "route" }, concurrency: 1 });
  assertEquals((await told(bench, { peer: "10.0.0.1" })).to, "403");
  assertEquals((await told(bench)).to, "default");
  assertEquals((await told(bench)).to, "429");
  assertEquals(bench.memory.limits.concurrency("all").current, 0, "every place was given back");
});

Deno.test("as many requests as concurrency allows are in flight; the next one gets 503, and is no failure", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    concurrency: 2,
    routes: { "x/*": "api", "x/own": { pool: "api", concurrency: 1 } },
  });
  const cells = bench.memory.limits.concurrency("all");
  assert(cells.take(2) && cells.take(2)); // two that have not ended
  const refused = await told(bench);
  assertEquals([refused.to, refused.after], ["503", "1"]);
  assertEquals((await told(bench, { target: "/own" })).to, "api");
  cells.giveBack();
  assertEquals((await told(bench)).to, "api");
  assertEquals(bench.memory.requestTotals().failed, 0);
});

Deno.test("a limit over all replicas is divided among them, and among all of them together it is as much as one", async () => {
  const ask = async (replicas: number, rateLimit: NonNullable<ConfigFile["rateLimit"]>, times: number) => {
    using bench = new RoutedBench({ ...POOLS, rateLimit, cluster: { redis: "redis://redis" } });
    bench.memory.limits.shareAmong(replicas);
    let passed = 0;
    for (let i = 0; i < times; i++) if ((await told(bench)).to === "default") passed++;
    return passed;
  };
  const limit = { ...SLOW, burst: 12 };
  assertEquals(await ask(3, limit, 20), 12, "a limit of this process alone");
  for (const [replicas, share] of [[1, 12], [2, 6], [3, 4], [5, 3], [12, 1], [100, 1]] as const) {
    assertEquals(await ask(replicas, { ...limit, scope: "cluster" }, 20), share, `${replicas} replicas`);
  }
});

Deno.test("replicas come and go: what was spent of a share stays spent, and answers tell what is left of it", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    rateLimit: { ...SLOW, burst: 12, scope: "cluster" },
    cluster: { redis: "redis://redis" },
  });
  const policy = '"default";q=1;w=86400;roundhouse-burst=12';
  for (let left = 11; left >= 6; left--) assertEquals((await told(bench)).state?.split(";")[1], `r=${left}`);
  bench.memory.limits.shareAmong(2);
  // Half of it was spent, so half of the share is left: 3 of 6.
  assertEquals(await told(bench), {
    to: "default",
    policy,
    state: `"default";r=2;t=${8 * 86_400}`,
    after: undefined,
  });
  for (let i = 0; i < 2; i++) assertEquals((await told(bench)).to, "default");
  const refused = await told(bench);
  assertEquals([refused.to, refused.after], ["429", String(2 * 86_400)], "a share has half of the rate");
  bench.memory.limits.shareAmong(1);
  assertEquals((await told(bench)).to, "429");
});
