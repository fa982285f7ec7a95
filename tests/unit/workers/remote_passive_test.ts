import { assert, assertEquals } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import type { News } from "../../../src/workers/messages.ts";
import { RemotePassiveHealth } from "../../../src/workers/remote_passive.ts";
import { poolOf } from "../../support/pool.ts";

function setUp(settings: { passive?: object; health?: object }) {
  const pool = poolOf([1, 1]);
  const [backend] = pool.backends;
  assert(backend !== undefined);
  const news: News[] = [];
  const passive = new RemotePassiveHealth(configSchema.parse(settings), pool, (said) => news.push(said));
  return { pool, backend, passive, news, name: { slot: backend.slot, generation: backend.generation } };
}

Deno.test("RemotePassiveHealth takes a backend out at once, and tells it once", () => {
  for (const type of ["http", "none"] as const) {
    const { pool, backend, passive, news, name } = setUp({ passive: { connectFailures: 2 }, health: { type } });
    passive.connectFailed(backend, "refused");
    assertEquals([backend.alive, news], [true, []]);
    const { epoch } = pool.shared.cells;
    passive.connectFailed(backend, "refused");
    passive.connectFailed(backend, "refused");
    assertEquals([backend.alive, backend.up, backend.ejected], [false, type === "none", type === "none"]);
    assert(pool.shared.cells.epoch !== epoch, "every isolate looks again");
    assertEquals(news, [{
      type: "took-out",
      pool: 0,
      backend: name,
      reason: "refused",
      wasAlive: true,
    }]);
    assertEquals(backend.ejectedUntil > 0, type === "none");
  }
});

Deno.test("RemotePassiveHealth tells of failures only where they count", () => {
  const off = setUp({});
  off.passive.serverError(off.backend);
  assertEquals(off.news, []);
  const { backend, passive, pool, news, name } = setUp({ passive: { serverErrors: 5 } });
  passive.serverError(backend);
  passive.failed(backend);
  pool.setEjected(backend, true, "test");
  passive.failed(backend); // it is out already
  pool.setEjected(backend, false, "test");
  pool.remove(backend, "test");
  passive.failed(backend);
  assertEquals(news, [1, 2].map(() => ({ type: "failure", pool: 0, backend: name })));
});

Deno.test("RemotePassiveHealth leaves a backend alone that has been removed, and one that may never be marked down", () => {
  const { backend, passive, pool, news } = setUp({});
  pool.remove(backend, "test");
  passive.connectFailed(backend, "refused");
  const never = setUp({ passive: { connectFailures: 0 } });
  never.passive.connectFailed(never.backend, "refused");
  assertEquals([news, never.news, never.backend.alive], [[], [], true]);
});

Deno.test("RemotePassiveHealth never takes out the last backend where nothing checks", () => {
  const { pool, passive, news } = setUp({ health: { type: "none" } });
  for (const backend of pool.backends) {
    for (let time = 0; time < 3; time++) passive.connectFailed(backend, "refused");
  }
  assertEquals(pool.backends.map(({ alive }) => alive), [false, true]);
  assertEquals(news.length, 1);
});
