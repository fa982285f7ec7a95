import { assertEquals, assertStrictEquals } from "@std/assert";
import { ipHash } from "../../../src/balancing/ip_hash.ts";
import { leastConnections } from "../../../src/balancing/least_connections.ts";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { random } from "../../../src/balancing/random.ts";
import { strategyFactory } from "../../../src/balancing/registry.ts";
import { formatStrategy } from "../../../src/config/fields.ts";
import { roundRobin } from "../../../src/balancing/round_robin.ts";
import { uriHash } from "../../../src/balancing/uri_hash.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { countPicks, pickRequest } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";

function configured(strategy: string) {
  return configSchema.parse({ strategy }).strategy;
}

Deno.test("strategyFactory() has every strategy under its name", () => {
  assertStrictEquals(strategyFactory(configured("round-robin")), roundRobin);
  assertStrictEquals(strategyFactory(configured("least-connections")), leastConnections);
  assertStrictEquals(strategyFactory(configured("random")), random);
  assertStrictEquals(strategyFactory(configured("ip-hash")), ipHash);
  assertStrictEquals(strategyFactory(configured("uri-hash")), uriHash);
});

Deno.test("strategyFactory() makes least-latency", () => {
  const pool = poolOf([1, 1]);
  pool.backends.forEach((backend, index) => backend.answered(200, index === 0 ? 900 : 1));
  const balancer = new LoadBalancer(pool, strategyFactory(configured("least-latency")));
  assertEquals(countPicks(balancer, 20), { "http://backend-2": 20 });
});

Deno.test("strategyFactory() makes header-hash for the header that is configured", () => {
  const balancer = new LoadBalancer(poolOf([1, 1, 1]), strategyFactory(configured("header-hash:X-Tenant")));
  const tenant = (value: string) => pickRequest({ header: (name) => name === "x-tenant" ? value : undefined });
  const places = ["a", "b", "c", "d", "e", "f"].map((value) => Object.keys(countPicks(balancer, 5, tenant(value))));
  assertEquals(places.map((urls) => urls.length), [1, 1, 1, 1, 1, 1]);
  assertEquals(new Set(places.flat()).size, 3);
});

Deno.test("README.md and docs/balancing.md describe every strategy", () => {
  const read = (path: string) => Deno.readTextFileSync(new URL(`../../../${path}`, import.meta.url));
  const { strategy } = JSON.parse(read("config.schema.json")).properties;
  const names: string[] = strategy.anyOf.flatMap((kind: { enum?: string[] }) => kind.enum ?? []);
  assertEquals(names.includes("round-robin"), true);
  for (const page of ["README.md", "docs/balancing.md"]) {
    const rows = read(page).split("\n").filter((line) => line.startsWith("| `")).map((line) =>
      line.split("|")[1] ?? ""
    );
    assertEquals(names.filter((name) => !rows.some((row) => row.includes(`\`${name}\``))), [], page);
  }
});

Deno.test("formatStrategy() spells a strategy as the configuration does", () => {
  for (const name of ["round-robin", "least-latency", "header-hash:x-tenant"]) {
    assertEquals(formatStrategy(configured(name)), name);
  }
});
