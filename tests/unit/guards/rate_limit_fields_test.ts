// The fields of rate limits were only compared with text of our own. Here a parser for Structured Fields (RFC 9651) reads them,
// and the examples of draft-ietf-httpapi-ratelimit-headers-10 beside them.

import { assert, assertEquals, assertGreater } from "@std/assert";
import fc from "fast-check";
import { parseList } from "structured-headers";
import type { ConfigFile } from "../../../src/config/schema.ts";
import { RoutedBench, valueIn } from "../../support/routed_bench.ts";

type RateLimit = NonNullable<ConfigFile["rateLimit"]>;
type Items = readonly { readonly name: unknown; readonly parameters: Readonly<Record<string, unknown>> }[];

/** The members of a List: each a String, which names a policy, with parameters. */
function itemsOf(field: string): Items {
  return parseList(field).map(([name, parameters]) => {
    assertEquals(typeof name, "string", field); // a token would be an object
    return { name, parameters: Object.fromEntries(parameters) };
  });
}

/** What clients are told after so many requests at once. */
async function fieldsAfter(requests: number, rateLimit: RateLimit): Promise<{ policy: string; state: string }> {
  using bench = new RoutedBench({ backends: ["http://default"], rateLimit });
  let headers;
  for (let sent = 0; sent < requests; sent++) {
    const { answer, headers: forwarded } = await bench.ask({});
    headers = answer?.headers ?? forwarded;
  }
  const [policy, state] = [valueIn(headers ?? [], "ratelimit-policy"), valueIn(headers ?? [], "ratelimit")];
  assert(policy !== undefined && state !== undefined);
  return { policy, state };
}

/** Policies of the draft's sections 3, 3.1 and 3.2, and the limits that they stand for. */
const POLICIES: readonly (readonly [example: string, limits: readonly RateLimit[]])[] = [
  ['"default";q=100;w=10', [{ requests: 100, per: "10s" }]],
  ['"burst";q=100;w=60,"daily";q=1000;w=86400', [{ requests: 100, per: "1m" }, { requests: 1000, per: "1d" }]],
  ['"permin";q=50;w=60,"perhr";q=1000;w=3600', [{ requests: 50, per: "1m" }, { requests: 1000, per: "1h" }]],
];

Deno.test("a policy says what the draft's examples say of the same limit", async () => {
  for (const [example, limits] of POLICIES) {
    const policies = itemsOf(example);
    assertEquals(policies.length, limits.length);
    for (const [index, limit] of limits.entries()) {
      const [own] = itemsOf((await fieldsAfter(1, limit)).policy);
      assertEquals(own, { name: "default", parameters: policies[index]?.parameters ?? {} }, example);
    }
  }
});

Deno.test('half a minute before all 100 requests are allowed again, the state is the draft\'s "default";r=50;t=30', async () => {
  const { policy, state } = await fieldsAfter(50, { requests: 100, per: "60s" });
  assertEquals(state, '"default";r=50;t=30');
  assertEquals(policy, '"default";q=100;w=60');
});

Deno.test("whatever the limit, both fields are what the draft wants of them", async () => {
  const limits = fc.record({
    requests: fc.integer({ min: 1, max: 1_000_000 }),
    per: fc.integer({ min: 1, max: 366 * 86_400_000 }),
    burst: fc.option(fc.integer({ min: 1, max: 1_000_000 })),
  });
  await fc.assert(
    fc.asyncProperty(limits, fc.integer({ min: 1, max: 5 }), async (limit, requests) => {
      const { policy, state } = await fieldsAfter(requests, limit);
      const [policies, states] = [itemsOf(policy), itemsOf(state)];
      assertEquals([policies.length, states.length], [1, 1]);
      assertEquals(policies[0]?.name, states[0]?.name);
      const { q, w, ...others } = policies[0]?.parameters ?? {};
      const { r, t, ...none } = states[0]?.parameters ?? {};
      for (const number of [q, w, r, t]) {
        assert(Number.isSafeInteger(number) && Number(number) >= 0, `${policy} ${state}`);
      }
      assertGreater(Number(w), 0);
      assertEquals(none, {});
      assert(
        Object.keys(others).every((name) => name.startsWith("roundhouse-")),
        "parameters of our own have our name",
      );
      assert(Math.abs(Number(q) / Number(w) - limit.requests / limit.per * 1000) < 1e-9 * Number(q), "the same rate");
    }),
    { numRuns: 200 },
  );
});
