/** The document of changes when it is as large as it may be. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_ENTRIES } from "../../src/cluster/document.ts";
import { ClusterFullError } from "../../src/cluster/errors.ts";
import { backend, Replica } from "../support/cluster.ts";
import { hasCommand } from "../support/has_command.ts";
import { RedisServer } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

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
    await one.record({ kind: "replace", specs, drainMs: 0 });
    await waitFor(() => other.list().length === MAX_ENTRIES, { timeoutMs: 30_000, what: "all backends" });
    await assertRejects(() => other.add("http://more:1"), ClusterFullError);
    await other.change("http://backend-0:8080", { weight: 2 });
    await other.record({ kind: "replace", specs: [backend("http://last:1")], drainMs: 0 }).then(
      () => assert(false, "there was no room"),
      (error) => assert(error instanceof ClusterFullError),
    );
    await other.record({ kind: "replace", specs: specs.slice(0, 1), drainMs: 0 });
    await other.add("http://more:1");
    await one.waitForList(["http://backend-0:8080 1", "http://more:1 1"]);
    assertEquals(one.cluster.status().entries.length, MAX_ENTRIES);
  },
});
