// What an editor says of a file while it is written: config.schema.json accepts every configuration that the pages show,
// and marks mistakes. A pattern of it was one that only regular expressions with the flag `u` understand.

import { assertEquals } from "@std/assert";
import { parse, type ParseError } from "jsonc-parser";
import * as z from "zod";
import { readingOrder } from "../../../scripts/schema/reading_order.ts";
import { configsOf, filesOf, readPage } from "../../support/page.ts";

const schema = z.fromJSONSchema(JSON.parse(readPage("config.schema.json")));

/** Whether the schema accepts the text of a file. */
function accepts(text: string): boolean {
  const errors: ParseError[] = [];
  const file: unknown = parse(text, errors, { allowTrailingComma: true });
  assertEquals(errors, [], text);
  return schema.safeParse(file).success;
}

Deno.test("config.schema.json accepts every configuration that the pages show", () => {
  const pages = ["README.md", ...readingOrder(readPage("README.md")).map(({ path }) => path)];
  const shown = pages.flatMap((page) => configsOf(readPage(page)));
  assertEquals(shown.filter((config) => !accepts(config)), []);
});

const MISTAKES: readonly object[] = [
  { pools: { Api: {} } },
  { pools: { default: {} } },
  { pools: { api: { backend: [] } } },
  { pools: { api: { backends: ["10.0.0.1:80"] } } },
  { pools: { api: { strategy: "roulette" } } },
  { pools: { api: { health: { intervall: "1s" } } } },
  { routes: { "example.com": "api" } },
  { routes: { "a/*": { pools: "api" } } },
  { routes: { "a/*": { pool: { api: 1001 } } } },
  { routes: { "a/*": { pool: "api", splitBy: "cookie" } } },
  { routes: { "a/*": [] } },
  { routes: { "a/*": [{ when: { headers: {} }, pool: "api" }] } },
  { routes: { "a/*": [{ when: { method: "get" }, pool: "api" }] } },
  { routes: { "a/*": { redirect: "/", status: 200 } } },
  { routes: { "a/*": { respond: { status: 99 } } } },
  { routes: { "a/*": { pool: "api", stripPrefix: "v1" } } },
  { routes: { "a/*": { pool: "api", timeouts: { response: "soon" } } } },
  { routes: { "a/*": { pool: "api", timeouts: { keepAlive: "1s" } } } },
];

Deno.test("config.schema.json marks mistakes in pools and routes", () => {
  assertEquals(MISTAKES.filter((file) => accepts(JSON.stringify(file))), []);
  assertEquals(accepts(filesOf(readPage("docs/routing.md")).get("bad.json") ?? "{}"), false);
});
