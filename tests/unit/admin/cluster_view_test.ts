// The cluster in the admin API: where the replicas disagree about a backend.

import { assertEquals } from "@std/assert";
import { clusterSummary, clusterView, disagreements } from "../../../src/admin/cluster_view.ts";
import { clusterStatus, replicaStatus } from "../../support/status.ts";

Deno.test("disagreements() names the backends that are up for some replicas and down for others, by pool", () => {
  const replicas = [
    replicaStatus("one", { default: { "http://a": "up", "http://b": "up" }, api: { "http://a": "down" } }),
    replicaStatus("two", { default: { "http://a": "down", "http://b": "up" }, api: { "http://a": "down" } }),
    replicaStatus("three", { default: { "http://a": "up", "http://c": "down" } }),
    { ...replicaStatus("four", {}), health: null },
  ];
  const expected = [{ pool: "default", backend: "http://a", up: ["one", "three"], down: ["two"] }];
  assertEquals(disagreements(replicas), expected);
  const status = clusterStatus({ replicas, up: false, error: "refused", version: 7 });
  const lastSuccess = "2026-01-01T00:00:00.000Z";
  assertEquals(clusterView(status).disagreements, expected);
  assertEquals(clusterSummary(status), {
    up: false,
    lastSuccess,
    error: "refused",
    replicas: 4,
    changes: 0,
    local: 0,
    disagreements: 1,
  });
});

Deno.test("disagreements() does not listen to a replica that has been silent for long", () => {
  const replicas = [
    replicaStatus("one", { default: { "http://a": "up" } }, { self: true }),
    replicaStatus("two", { default: { "http://a": "down" } }, { ageMs: 20_000 }),
  ];
  assertEquals(disagreements(replicas), []);
});
