import { assertEquals } from "@std/assert";
import { FEWER_AFTER_MS, ReplicaCount } from "../../../src/cluster/replica_count.ts";

Deno.test("ReplicaCount takes more replicas at once, and fewer when that has lasted", () => {
  const count = new ReplicaCount(1);
  count.heard(3, 1000);
  assertEquals(count.value, 3);
  count.heard(2, 2000);
  count.heard(2, 2000 + FEWER_AFTER_MS - 1);
  assertEquals(count.value, 3);
  count.heard(2, 2000 + FEWER_AFTER_MS);
  assertEquals(count.value, 2);
});

// A store that was flushed knows of one replica, then of the others as they come back. Each of them would have spent the
// whole limit meanwhile.
Deno.test("ReplicaCount stays where it is while the replicas come back to a store that was emptied", () => {
  const count = new ReplicaCount(4);
  for (const [replicas, atMs] of [[1, 0], [2, 500], [3, 9000], [4, 12_000], [1, 13_000]] as const) {
    count.heard(replicas, atMs);
    assertEquals(count.value, 4);
  }
  count.heard(1, 12_999 + FEWER_AFTER_MS);
  assertEquals(count.value, 4, "the time began anew when all were there");
});

Deno.test("ReplicaCount keeps the last number for as long as the store is away, and gives the others time after that", () => {
  const count = new ReplicaCount(3);
  count.heard(1, 0);
  count.unknown();
  assertEquals(count.value, 3);
  count.heard(1, 1_000_000);
  assertEquals(count.value, 3);
  count.heard(2, 1_000_001);
  count.heard(1, 1_000_000 + FEWER_AFTER_MS);
  assertEquals(count.value, 2, "the most that were heard of meanwhile");
});
