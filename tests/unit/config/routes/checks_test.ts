import { assertEquals } from "@std/assert";
import { loadConfig } from "../../../../src/config/load.ts";
import { ConfigError } from "../../../../src/errors.ts";

const POOLS = { api: { backends: ["http://a"] }, "api-v2": { backends: ["http://b"] } };

/** The lines that refuse a file with these routes; none when it is accepted. */
function linesOf(routes: unknown, rest: object = { pools: POOLS }): readonly string[] {
  return linesOfText(JSON.stringify({ backends: ["http://d"], ...rest, routes }));
}

function linesOfText(text: string): readonly string[] {
  try {
    loadConfig({ path: "a.json", flags: {}, env: () => undefined, readFile: () => text, readStdin: () => "" });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

Deno.test("routes that lead to pools there are, are accepted", () => {
  assertEquals(
    linesOf({ "*/*": "default", "a/*": "api", "b/*": [{ when: { method: "GET" }, pool: { api: 1, "api-v2": 0 } }] }),
    [],
  );
});

Deno.test("an unknown pool is named with the nearest one, in each form of a route", () => {
  const wanted = 'got "apy", want the name of a pool, did you mean "api"?';
  assertEquals(linesOf({ "a/*": "apy" }), [`routes["a/*"]: ${wanted}`]);
  assertEquals(linesOf({ "a/*": { pool: "apy" } }), [`routes["a/*"].pool: ${wanted}`]);
  assertEquals(linesOf({ "a/*": [{ when: { method: "GET" }, pool: "apy" }, "apy"] }), [
    `routes["a/*"][0].pool: ${wanted}`,
    `routes["a/*"][1]: ${wanted}`,
  ]);
  assertEquals(linesOf({ "a/*": { pool: { api: 9, apy: 1 } } }), [`routes["a/*"].pool.apy: ${wanted}`]);
  assertEquals(linesOf({ "a/*": "Default" }), [
    'routes["a/*"]: got "Default", want the name of a pool, did you mean "default"?',
  ]);
  assertEquals(linesOf({ "a/*": "something" }), ['routes["a/*"]: got "something", want the name of a pool']);
});

Deno.test("a pool whose name is bad is told once, not by the routes that lead to it", () => {
  assertEquals(linesOf({ "a/*": "API" }, { pools: { API: {} } }).map((line) => line.split(":")[0]), ["pools.API"]);
  assertEquals(linesOf({ "a/*": "x" }, { pools: 5 }).map((line) => line.split(":")[0]), ["pools"]);
});

Deno.test("two keys that take the same requests are an error, the same key twice in the text included", () => {
  const same = (one: string, other: string) => linesOf({ [one]: "api", [other]: "api" });
  assertEquals(same("a.example/*", "A.Example./*"), [
    'routes["A.Example./*"]: takes the same requests as routes["a.example/*"], want one key with a list',
  ]);
  for (const [one, other] of [["*/%7ea", "*/~a"], ["*/%c3%bc/*", "*/%C3%BC/*"], ["[::1]/*", "[0:0::1]/*"]] as const) {
    assertEquals(same(one, other).length, 1, other);
  }
  for (const [one, other] of [["*/a", "*/a/*"], ["*/a", "*/A"], ["*/a", "*/a/"], ["*.a/*", "a/*"]] as const) {
    assertEquals(same(one, other), [], other);
  }
  assertEquals(
    linesOfText('{ "backends": ["http://d"],\n "routes": { "a/*": "default", "a/*": { "respond": 404 } } }'),
    [
      'routes["a/*"]: given twice, again at a.json:2:32',
    ],
  );
});

Deno.test("an entry behind one without `when` is an error", () => {
  const when = { method: "GET" };
  assertEquals(linesOf({ "a/*": [{ when, pool: "api" }, { pool: "api" }, { when, pool: "api" }, "api"] }), [
    'routes["a/*"][2]: got an entry that no request gets to, want it before routes["a/*"][1], which has no "when"',
  ]);
  assertEquals(linesOf({ "a/*": [{ when: {}, pool: "api" }, "api"] }).length, 1);
  assertEquals(linesOf({ "a/*": [{ when, pool: "api" }, { when, pool: "api" }] }), []);
});

Deno.test("two entries of a route have different names", () => {
  const [one, other] = [{ name: "beta", when: { method: "GET" }, pool: "api" }, { name: "beta", pool: "api" }];
  assertEquals(linesOf({ "a/*": [one, other] }), [
    'routes["a/*"][1].name: got "beta", want another name than that of routes["a/*"][0]',
  ]);
  assertEquals(linesOf({ "a/*": one, "b/*": other }), []);
});

Deno.test("what is cut off is the beginning of the key's path, at a segment", () => {
  const cut = (key: string, stripPrefix: string) => linesOf({ [key]: { pool: "api", stripPrefix } });
  for (const prefix of ["/api", "/api/v1"]) {
    assertEquals(cut("a/api/v1/*", prefix), []);
    assertEquals(cut("a/api/v1", prefix), []);
  }
  assertEquals(cut("a/%7euser/*", "/~user"), []);
  for (const prefix of ["/ap", "/api/v", "/api/v1/x", "/v1"]) {
    assertEquals(cut("a/api/v1/*", prefix), [
      `routes["a/api/v1/*"].stripPrefix: got "${prefix}", want the beginning of the key's path "/api/v1", cut at a segment`,
    ]);
  }
  for (const key of ["a/*", "a/"]) {
    assertEquals(cut(key, "/a"), [
      `routes["${key}"].stripPrefix: got "/a", want none, because the route's key has no path to cut`,
    ]);
  }
});

Deno.test("a file that answers can be read", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/page.html`;
    const answer = () => linesOf({ "a/*": { respond: { file } } });
    assertEquals(answer(), [`routes["a/*"].respond.file: got "${file}", want a file to read: no such file`]);
    await Deno.writeTextFile(file, "hello");
    assertEquals(answer(), []);
    assertEquals(linesOf({ "a/*": [{ respond: { file: folder } }] }), [
      `routes["a/*"][0].respond.file: got "${folder}", want a file to read: it is a directory, want a regular file`,
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("mistakes of all kinds are told at once, each in one line", () => {
  const lines = linesOf({
    "a b/*": "api",
    "a/*": ["apy", { pool: "api", stripPrefix: "/x" }],
    "A/*": { redirect: "//evil" },
    "b/*": { pool: "api", when: { method: "get" } },
    "B/*": "api-v3",
    "b/x/*": { pool: { api: 0 } },
  });
  assertEquals(lines.map((line) => line.replace(/: (got|takes).*/, "")), [
    'routes["a b/*"]',
    'routes["A/*"].redirect',
    'routes["b/*"].when.method',
    'routes["b/x/*"].pool',
    'routes["a/*"][1]',
    'routes["a/*"][0]',
    'routes["B/*"]',
  ]);
});
