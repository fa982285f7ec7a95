import { assertEquals } from "@std/assert";
import { describeConfig } from "../../../../src/config/describe.ts";
import { describeRoutes } from "../../../../src/config/routes/describe.ts";
import { configSchema } from "../../../../src/config/schema.ts";

const FILE = {
  backends: ["http://a"],
  pools: { api: { backends: ["http://b"], health: { type: "tcp" as const } }, "api-v2": { sticky: {} } },
  routes: {
    "*/*": { respond: 404 },
    "www.example.com/*": { redirect: "https://example.com{uri}" },
    "api.example.com/v1/*": [
      {
        name: "beta",
        when: {
          client: ["10.0.0.0/8", "::1"],
          cookie: { b: "*", c: null },
          header: { "X-Beta": "1", "X-Token": "s3cret*" },
          method: ["GET", "HEAD"],
          query: { q: "ab*" },
        },
        pool: "api-v2",
      },
      {
        pool: { api: 95, "api-v2": 5 },
        stripPrefix: "/v1",
        addPrefix: "/x",
        allow: ["10.0.0.0/8"],
        deny: null,
        rateLimit: { requests: 5, per: "1m", by: "route" },
        concurrency: 3,
      },
    ],
  },
};

const LINES = [
  'api.example.com/v1/*  0  api-v2                                 name "beta", when method GET or HEAD and header X-Beta ' +
  'is "1" and header X-Token begins with *** and cookie b is there and cookie c is not there and query q begins with "ab" ' +
  "and client 10.0.0.0/8 or ::1",
  "api.example.com/v1/*  1  api 95, api-v2 5                       strips /v1, adds /x, no deny, allows 10.0.0.0/8 only, at most 5 requests per 1m by route, at most 3 at a time",
  "www.example.com/*     0  redirect 308 https://example.com{uri}",
  "*/*                   0  respond 404",
];

Deno.test("describeRoutes() has a line for each entry, in the order in which they are matched, without secrets", () => {
  const { routes } = configSchema.parse(FILE);
  assertEquals(describeRoutes(routes ?? {}), LINES);
  assertEquals(describeRoutes({}), []);
});

Deno.test("describeConfig() has pools and routes behind the rest", () => {
  const all = describeConfig(configSchema.parse(FILE));
  const { pools: _, routes: __, ...rest } = FILE;
  const before = describeConfig(configSchema.parse(rest));
  assertEquals(all, [
    ...before,
    "pool       api",
    "backends   1",
    "           http://b, weight 1",
    "strategy   round-robin",
    "health     a TCP connection every 5s, at most 2s each",
    "pool       api-v2",
    "backends   none",
    "strategy   round-robin, sticky by cookie roundhouse-api-v2 for 30m",
    "health     GET / every 5s, at most 2s each, status 200-499",
    "routes     4",
    ...LINES.map((line) => `           ${line}`),
  ]);
});
