import { assert, assertEquals } from "@std/assert";
import { ipHash } from "../../../src/balancing/ip_hash.ts";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { pickRequest } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("ipHash", ipHash);

const CLIENTS = Array.from({ length: 10_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);

function placesOf(balancer: LoadBalancer): (string | undefined)[] {
  return CLIENTS.map((client) => balancer.pick(pickRequest({ client }))?.url);
}

Deno.test("ipHash binds a client to a backend, whatever it asks for", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1]), ipHash);
  for (const client of CLIENTS.slice(0, 100)) {
    const first = balancer.pick(pickRequest({ client, target: "/a" }));
    assertEquals(balancer.pick(pickRequest({ client, target: "/b?c", header: () => "x" })), first);
  }
});

Deno.test("ipHash tells neighbours of one network apart", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1]), ipHash);
  const places = new Set(CLIENTS.slice(0, 20).map((client) => balancer.pick(pickRequest({ client }))?.url));
  assertEquals(places.size, 3);
});

Deno.test("ipHash moves only the clients of a backend that goes down, and back when it is up again", () => {
  const pool = poolOf([1, 2, 1, 3, 1, 1, 1, 1, 1, 1]);
  const balancer = new LoadBalancer(pool, ipHash);
  const before = placesOf(balancer);
  for (const backend of pool.backends) {
    pool.setUp(backend, false, "test");
    const after = placesOf(balancer);
    const moved = CLIENTS.filter((_, index) => before[index] !== after[index]);
    assertEquals(moved, CLIENTS.filter((_, index) => before[index] === backend.url));
    pool.setUp(backend, true, "test");
    assertEquals(placesOf(balancer), before);
  }
});

Deno.test("ipHash lets a backend in slow start take its clients bit by bit", () => {
  const pool = poolOf([1, 1, 1]);
  const balancer = new LoadBalancer(pool, ipHash);
  const full = placesOf(balancer);
  const [starting] = pool.backends;
  assert(starting !== undefined);
  let own = 0;
  for (let ramp = 1; ramp <= 10; ramp++) {
    pool.setRamp(starting, ramp);
    const places = placesOf(balancer);
    const now = places.filter((url) => url === starting.url).length;
    assert(now > own, `${now} after ${own}`);
    own = now;
    // Whoever is there now stays there.
    assertEquals(places.filter((url, index) => url === starting.url && full[index] !== url), []);
  }
  assertEquals(placesOf(balancer), full);
});
