// What the admin API shows of a backend.

import { assertEquals } from "@std/assert";
import { answerJson, backendView } from "../../../src/admin/view.ts";
import { poolOf } from "../../support/pool.ts";

Deno.test("backendView() shows health and operator state apart, and null where nothing is known", () => {
  const pool = poolOf([7]);
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("the pool is empty");
  pool.setEjected(backend, true, "test");
  pool.update(backend, { state: "draining", maxConnections: 5, backup: true }, "test");
  const { id, lastChange, ...shown } = backendView(backend);
  assertEquals(id, backend.id);
  assertEquals([lastChange?.to, lastChange?.reason], ["draining", "test"]);
  assertEquals(shown, {
    url: "http://backend-1",
    alive: false,
    state: "draining",
    weight: 7,
    backup: true,
    currentConnections: 0,
    maxConnections: 5,
    totalRequests: 0,
    totalFailures: 0,
    latencyMs: { ewma: null },
    lastCheck: null,
  });
  const before = backend.settings;
  pool.update(backend, { weight: 1, maxConnections: null, backup: false, state: "active" }, "test");
  // A copy: an audit line keeps what was.
  assertEquals(before, { weight: 7, maxConnections: 5, backup: true, state: "draining" });
  assertEquals(backend.settings, { weight: 1, maxConnections: null, backup: false, state: "active" });
});

Deno.test("answerJson() declares its length in bytes and forbids caching", async () => {
  const response = answerJson({ name: "ü" }, { status: 201, headers: { location: "/x" } });
  assertEquals([response.status, response.headers.get("location")], [201, "/x"]);
  assertEquals(response.headers.get("content-length"), "13");
  assertEquals(response.headers.get("cache-control"), "no-store");
  assertEquals(await response.json(), { name: "ü" });
});
