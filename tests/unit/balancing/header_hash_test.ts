import { assertEquals } from "@std/assert";
import { headerHash } from "../../../src/balancing/header_hash.ts";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import type { PickRequest } from "../../../src/balancing/strategy.ts";
import { countPicks, pickRequest } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("headerHash() without the header", headerHash("x-user"));
testStrategyContract("headerHash() with it", (candidates, context) => {
  const strategy = headerHash("x-user")(candidates, context);
  return { pick: (request) => strategy.pick(withUser("someone", request)) };
});

function withUser(user: string, request = pickRequest()): PickRequest {
  return pickRequest({
    header: (name) => name === "x-user" ? user : undefined,
    accepts: (backend) => request.accepts(backend),
  });
}

Deno.test("headerHash() binds a header's value to a backend", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1]), headerHash("x-user"));
  const places = new Set<string>();
  for (let user = 0; user < 50; user++) {
    const counts = countPicks(balancer, 10, withUser(`user-${user}`));
    assertEquals(Object.values(counts), [10]);
    Object.keys(counts).forEach((url) => places.add(url));
  }
  assertEquals(places.size, 3);
});

Deno.test("headerHash() spreads requests without the header, or with an empty one, round robin by weight", () => {
  for (const request of [pickRequest({ header: (name) => name === "x-user" ? undefined : "x" }), withUser("")]) {
    const balancer = new LoadBalancer(poolOf([1, 2, 1]), headerHash("x-user"));
    assertEquals(Object.values(countPicks(balancer, 40, request)).toSorted(), [10, 10, 20]);
  }
});
