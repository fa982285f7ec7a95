import { assertEquals } from "@std/assert";
import { usedPools } from "../../../../src/config/routes/doubts.ts";
import { configSchema } from "../../../../src/config/schema.ts";
import { validateConfig } from "../../../../src/config/validate.ts";

const POOLS = { api: { backends: ["http://a"] } };

function warningsOf(routes: unknown, rest: object = { pools: POOLS, backends: ["http://d"] }): readonly string[] {
  const { warnings } = validateConfig({ ...rest, routes });
  return warnings.filter((line) => !line.includes("no route leads to the pool default"));
}

Deno.test("a pool that nothing uses is doubtful, default included", () => {
  const backends = ["http://d"];
  const all = (file: object) => validateConfig(file).warnings;
  assertEquals(all({ backends, pools: POOLS }), ["pools.api: no route leads to this pool"]);
  assertEquals(all({ backends, pools: POOLS, routes: { "*/*": "api" } }), [
    "backends: no route leads to the pool default",
  ]);
  assertEquals(all({ pools: POOLS, routes: { "*/*": "api" } }), []);
  assertEquals(all({ backends, pools: POOLS, routes: { "*/*": { pool: { default: 1, api: 0 } } } }), []);
});

Deno.test("an exact path with nothing below it is doubtful where it leads to a pool", () => {
  const line = (
    key: string,
    all: string,
  ) => [`routes["${key}"]: takes this one path; "${all}" takes all below it, too`];
  assertEquals(warningsOf({ "a/api": "api" }), line("a/api", "a/api/*"));
  assertEquals(warningsOf({ "a/api": "api", "a/*": "api" }), line("a/api", "a/api/*"));
  assertEquals(warningsOf({ "a/api": "api", "b/api/*": "api" }), line("a/api", "a/api/*"));
  assertEquals(warningsOf({ "a/api/": "api" }), line("a/api/", "a/api/*"));
  assertEquals(warningsOf({ "a/": "api" }), line("a/", "a/*"));
  assertEquals(warningsOf({ "a/api": "api", "a/apix/*": "api" }), line("a/api", "a/api/*"));
  for (const below of ["a/api/*", "a/api/x", "a/api/x/*", "A/%61pi/x/y"]) {
    assertEquals(
      warningsOf({ "a/api": "api", [below]: "api" }).filter((text) => text.startsWith('routes["a/api"]')),
      [],
      below,
    );
  }
  assertEquals(warningsOf({ "a/": "api", "a/x/*": "api" }), []);
  for (const quiet of ["api.txt", "a/robots.txt"]) assertEquals(warningsOf({ [`a/${quiet}`]: "api" }), []);
  assertEquals(warningsOf({ "a/up": { respond: 200 }, "a/old": { redirect: "/" }, "a/*": "api" }), []);
});

Deno.test("a host without /* is doubtful where a wider one has it", () => {
  const line = (host: string, all: string) =>
    `routes: ${host} has no "${host}/*", so its other paths get 404 and not what "${all}" says`;
  assertEquals(warningsOf({ "a.example/x/*": "api", "*/*": "api" }), [line("a.example", "*/*")]);
  assertEquals(warningsOf({ "a.example/x/*": "api", "*.example/*": "api", "*/*": "api" }), [
    line("a.example", "*.example/*"),
  ]);
  assertEquals(warningsOf({ "*.b.example/x/*": "api", "*.example/*": "api" }), [line("*.b.example", "*.example/*")]);
  assertEquals(warningsOf({ "a.example/x/*": "api", "a.example/*": "api", "*/*": "api" }), []);
  assertEquals(warningsOf({ "a.example/x/*": "api", "*.test/*": "api", "*/x/*": "api" }), []);
  assertEquals(warningsOf({ "*/x/*": "api", "a/*": "api" }), []);
});

Deno.test("usedPools() has all sides of splits, and default where there are no routes", () => {
  assertEquals([...usedPools(configSchema.parse({}))], ["default"]);
  assertEquals([...usedPools(configSchema.parse({ routes: {} }))], []);
  const routes = { "a/*": { pool: { a: 1, b: 0 } }, "b/*": [{ respond: 404 }], "c/*": "default" };
  assertEquals([...usedPools(configSchema.parse({ routes }))], ["a", "b", "default"]);
});
