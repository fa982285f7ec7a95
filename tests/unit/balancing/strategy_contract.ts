/** What every strategy must do, run on each: a new one joins with one line. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import type { StrategyFactory } from "../../../src/balancing/strategy.ts";
import { countPicks, pickRequest, rejecting } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";

/** Registers the contract's tests for one strategy. */
export function testStrategyContract(name: string, factory: StrategyFactory): void {
  Deno.test(`${name} picks nothing from an empty pool`, () => {
    assertEquals(new LoadBalancer(poolOf([]), factory).pick(pickRequest()), undefined);
  });

  Deno.test(`${name} always picks the only backend`, () => {
    const balancer = new LoadBalancer(poolOf([3]), factory);
    assertEquals(countPicks(balancer, 50), { "http://backend-1": 50 });
  });

  Deno.test(`${name} picks nothing when the request accepts none`, () => {
    const pool = poolOf([1, 2, 3]);
    const balancer = new LoadBalancer(pool, factory);
    assertEquals(countPicks(balancer, 20, rejecting(...pool.backends)), { none: 20 });
  });

  Deno.test(`${name} finds the only backend that the request accepts, whatever its place`, () => {
    const pool = poolOf([1, 256, 3, 1, 7]);
    const balancer = new LoadBalancer(pool, factory);
    for (const wanted of pool.backends) {
      const others = pool.backends.filter((backend) => backend !== wanted);
      assertEquals(countPicks(balancer, 30, rejecting(...others)), { [wanted.url]: 30 });
    }
  });

  Deno.test(`${name} never picks a backend that is down, disabled, draining or of weight 0, however it changes`, () => {
    const change = fc.record({
      backend: fc.nat(5),
      to: fc.constantFrom("up", "down", "ejected", "active", "draining", "disabled", "weight 0", "weight 2"),
    });
    fc.assert(fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const pool = poolOf([1, 1, 2, 5, 0, 1]);
      const balancer = new LoadBalancer(pool, factory);
      for (const { backend: index, to } of changes) {
        const backend = pool.backends[index];
        assert(backend !== undefined);
        if (to === "up" || to === "down") pool.setUp(backend, to === "up", "test");
        else if (to === "ejected") pool.setEjected(backend, !backend.ejected, "test");
        else if (to === "weight 0" || to === "weight 2") pool.update(backend, { weight: Number(to.at(-1)) }, "test");
        else pool.update(backend, { state: to as "active" | "draining" | "disabled" }, "test");
        const picked = balancer.pick(pickRequest());
        if (picked === undefined) {
          assert(pool.backends.every((other) => !other.selectable), "an eligible one was missed");
        } else assert(picked.selectable, `${picked.url} is not eligible`);
      }
    }));
  });

  Deno.test(`${name} follows backends that come and go`, () => {
    const pool = poolOf([1, 1]);
    const balancer = new LoadBalancer(pool, factory);
    const [first, second] = pool.backends;
    assert(first !== undefined && second !== undefined);
    pool.remove(first, "test");
    assertEquals(countPicks(balancer, 10), { [second.url]: 10 });
    pool.remove(second, "test");
    assertEquals(countPicks(balancer, 10), { none: 10 });
    const added = pool.add(
      { ...first, url: "http://backend-9", weight: 1, backup: false, maxConnections: null },
      "test",
    );
    assertEquals(countPicks(balancer, 10), { [added.url]: 10 });
  });

  Deno.test(`${name} serves a pool of 1,000`, () => {
    const pool = poolOf(Array.from({ length: 1000 }, (_, index) => 1 + index % 256));
    const balancer = new LoadBalancer(pool, factory);
    for (let pick = 0; pick < 2000; pick++) assert(balancer.pick(pickRequest())?.selectable);
  });
}
