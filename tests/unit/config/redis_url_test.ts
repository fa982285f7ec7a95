import { assertEquals } from "@std/assert";
import { parseRedisUrl } from "../../../src/config/redis_url.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";

Deno.test("parseRedisUrl() reads what a URL says", () => {
  const plain = { host: "redis", port: 6379, tls: false, username: null, password: null, database: 0 };
  const cases: [string, Partial<ReturnType<typeof parseRedisUrl>>][] = [
    ["redis://redis", {}],
    ["redis://redis/", {}],
    ["rediss://redis:6380/3", { tls: true, port: 6380, database: 3 }],
    ["redis://:p%40ss@redis", { password: "p@ss" }],
    ["redis://me:word@[::1]:1", { host: "::1", port: 1, username: "me", password: "word" }],
  ];
  for (const [url, wanted] of cases) assertEquals(parseRedisUrl(url), { ...plain, ...wanted }, url);
});

Deno.test("parseRedisUrl() refuses other URLs", () => {
  const wrong = [
    "",
    "redis",
    "http://redis",
    "redis://",
    "redis://a:99999",
    "redis://a/b",
    "redis://a/99999",
    "redis://a?x=1",
  ];
  for (const url of [...wrong, "redis://:%@a", "redis:///1"]) assertEquals(parseRedisUrl(url), undefined, url);
});

Deno.test("GET /config shows the URL of the store without its user and password", () => {
  const config = configSchema.parse({ cluster: { redis: "rediss://me:secret@redis.internal:6380/2" } });
  const shown = JSON.stringify(showConfig(config));
  assertEquals([shown.includes("me:secret"), shown.includes("rediss://***@redis.internal:6380/2")], [false, true]);
});
