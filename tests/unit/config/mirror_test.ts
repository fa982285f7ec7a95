import { assertEquals } from "@std/assert";

import { doubts } from "../../../src/config/cross_checks.ts";
import { describeConfig } from "../../../src/config/describe.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { type Config, configSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";
import { ConfigError } from "../../../src/errors.ts";

function load(settings: object): Config {
  const file = { backends: ["http://d"], pools: { shadow: { backends: ["http://s"] } }, ...settings };
  const text = JSON.stringify(file);
  return loadConfig({ path: "a.json", flags: {}, env: () => undefined, readFile: () => text, readStdin: () => "" })
    .config;
}

/** The lines that refuse a file; none when it is accepted. */
function linesOf(settings: object): readonly string[] {
  try {
    load(settings);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

Deno.test("mirror wants a pool there is, and only stands beside one", () => {
  const wanted = 'got "shadw", want the name of a pool, did you mean "shadow"?';
  assertEquals(linesOf({ mirror: { pool: "shadw" } }), [`mirror.pool: ${wanted}`]);
  assertEquals(linesOf({ routes: { "*/*": { pool: "default", mirror: { pool: "shadw" } } } }), [
    `routes["*/*"].mirror.pool: ${wanted}`,
  ]);
  assertEquals(linesOf({ mirror: {} }).map((line) => line.split(":")[0]), ["mirror.pool"]);
  assertEquals(linesOf({ routes: { "*/*": { redirect: "/", mirror: { pool: "shadow" } } } }), [
    'routes["*/*"].mirror: got an object with "pool", want "pool" in the same entry',
  ]);
});

Deno.test("mirror refuses shares, sizes and methods that it can't have", () => {
  const setting = (own: object) => linesOf({ mirror: { pool: "shadow", ...own } });
  assertEquals(setting({ share: 1, maxBody: "16MiB", methods: ["PURGE"] }), []);
  assertEquals(setting({ share: 0, maxBody: 0 }), []);
  assertEquals(setting({ share: 1.5 }), ["mirror.share: got 1.5, want a number from 0 to 1"]);
  assertEquals(setting({ methods: [] }).length, 1);
  assertEquals(setting({ methods: ["CONNECT"] }).length, 1);
  assertEquals(setting({ maxBody: "17MiB" }).length, 1);
});

Deno.test("a pool that gets copies is in use; one that gets the requests, too, is doubted", () => {
  const lines = (settings: object) => doubts(load(settings), 8);
  assertEquals(lines({ mirror: { pool: "shadow" } }), []);
  assertEquals(lines({ routes: { "*/*": { pool: "default", mirror: { pool: "shadow" } } } }), []);
  const doubt = (place: string, pool: string) =>
    `${place}: copies go to the pool ${pool}, which gets the requests, too`;
  assertEquals(lines({ pools: {}, mirror: { pool: "default" } }), [doubt("mirror", "default")]);
  assertEquals(lines({ mirror: { pool: "shadow" }, routes: { "a/*": "shadow", "b/*": "default" } }), [
    doubt('routes["a/*"].mirror', "shadow"),
  ]);
  const split = { pool: { default: 9, shadow: 1 }, mirror: { pool: "shadow" } };
  assertEquals(lines({ routes: { "*/*": [{ when: { method: "GET" }, pool: "default" }, split] } }), [
    doubt('routes["*/*"][1].mirror', "shadow"),
  ]);
  assertEquals(lines({ routes: { "*/*": { ...split, pool: { default: 9, shadow: 0 } } } }), []);
  assertEquals(
    lines({ mirror: { pool: "shadow" }, routes: { "a/*": { pool: "shadow", mirror: null }, "b/*": "default" } }),
    [],
  );
});

Deno.test("mirror in words, and back in the words of the file", () => {
  const settings = {
    mirror: { pool: "shadow", share: 0.125 },
    routes: {
      "a/*": "default",
      "b/*": { pool: "default", mirror: { pool: "shadow", methods: ["POST"], maxBody: "1MiB" } },
      "c/*": { pool: "default", mirror: null },
    },
  };
  const config = load(settings);
  const lines = describeConfig(config).filter((line) => line.includes("mirror"));
  assertEquals(lines.map((line) => line.trim().replaceAll(/ +/g, " ")), [
    "mirror mirrors 12.5% of GET, HEAD to shadow, bodies of at most 64KiB",
    "b/* 0 default mirrors POST to shadow, bodies of at most 1MiB",
    "c/* 0 default no mirror",
  ]);
  assertEquals(configSchema.parse(showConfig(config)), config);
});
