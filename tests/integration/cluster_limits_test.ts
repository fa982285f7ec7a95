/** The document of changes when it is as large as it may be. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_ENTRIES } from "../../src/cluster/document.ts";
import { ClusterConflictError, ClusterFullError, StoreAwayError } from "../../src/cluster/errors.ts";
import { backend, Replica } from "../support/cluster.ts";
import { hasCommand } from "../support/has_command.ts";
import { RedisServer } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

function isAway(error: unknown): boolean {
  // The change before may still be under way.
  assert(error instanceof StoreAwayError || error instanceof ClusterConflictError, String(error));
  return false;
}

Deno.test({
  name: "cluster: 4,096 changes and no more; backends that were removed again make room",
  ignore: !hasCommand("redis-server"),
  async fn() {
    await using redis = await RedisServer.start();
    const file = { origin: "file", specs: [] } as const;
    await using one = await Replica.start(redis.url, { file });
    await using other = await Replica.start(redis.url, { file });
    await one.waitUntilUp();
    const specs = Array.from({ length: MAX_ENTRIES }, (_, index) => backend(`http://backend-${index}:8080`));
    // One change is so large here that a busy machine may take longer for it than a change may take.
    await waitFor(() => one.record({ kind: "replace", specs, drainMs: 0 }).then(() => true, isAway), {
      timeoutMs: 60_000,
      what: "the store to take the backends",
    });
    await waitFor(() => other.list().length === MAX_ENTRIES, { timeoutMs: 30_000, what: "all backends" });
    await assertRejects(() => other.add("http://more:1"), ClusterFullError);
    await other.change("http://backend-0:8080", { weight: 2 });
    await other.record({ kind: "replace", specs: [backend("http://last:1")], drainMs: 0 }).then(
      () => assert(false, "there was no room"),
      (error) => assert(error instanceof ClusterFullError),
    );
    await waitFor(
      () => other.record({ kind: "replace", specs: specs.slice(0, 1), drainMs: 0 }).then(() => true, isAway),
      {
        timeoutMs: 60_000,
        what: "the store to take the removals",
      },
    );
    await other.add("http://more:1");
    await one.waitForList(["http://backend-0:8080 1", "http://more:1 1"]);
    assertEquals(one.cluster.status().entries.length, MAX_ENTRIES);
  },
});
