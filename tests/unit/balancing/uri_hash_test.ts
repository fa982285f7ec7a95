import { assertEquals } from "@std/assert";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { uriHash } from "../../../src/balancing/uri_hash.ts";
import { pickRequest } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("uriHash", uriHash);

const PATHS = Array.from({ length: 500 }, (_, index) => `/page/${index}`);

Deno.test("uriHash binds a path to a backend, whoever asks and with whatever query", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1, 1]), uriHash);
  for (const path of PATHS) {
    const place = balancer.pick(pickRequest({ target: path }));
    for (const query of ["?", "?a=1", "?a=1?b", `?${path}`]) {
      assertEquals(balancer.pick(pickRequest({ target: path + query, client: "2001:db8::7" })), place);
    }
  }
});

Deno.test("uriHash tells paths apart, and their letters' case", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1, 1]), uriHash);
  const placesOf = (targets: readonly string[]) => targets.map((target) => balancer.pick(pickRequest({ target }))?.url);
  assertEquals(new Set(placesOf(PATHS)).size, 4);
  const places = placesOf(PATHS);
  const moved = placesOf(PATHS.map((path) => path.toUpperCase())).filter((url, index) => url !== places[index]);
  // Unrelated keys meet by chance in a quarter of the cases.
  assertEquals(moved.length > 325 && moved.length < 425, true);
});
