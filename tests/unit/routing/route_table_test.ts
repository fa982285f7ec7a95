import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { looseForm, plainForm } from "../../../src/http1/path_form.ts";
import { parseRouteKey } from "../../../src/config/routes/route_key.ts";
import { AMBIGUOUS, RouteTable } from "../../../src/routing/route_table.ts";

/** Each route is its own key. */
function tableOf(...keys: readonly string[]): RouteTable<string> {
  return new RouteTable(keys.map((key) => [parseRouteKey(key), key] as const));
}

const SHAPES: readonly (readonly [authority: string, target: string, expected: string | undefined])[] = [
  ["example.com", "/", "example.com/*"],
  ["EXAMPLE.com:8080", "/x?y=/api", "example.com/*"],
  ["example.com.", "/x", "example.com/*"],
  ["example.com", "/api", "example.com/api/*"],
  ["example.com", "/api/", "example.com/api/*"],
  ["example.com", "/api?x", "example.com/api/*"],
  ["example.com", "/api/x/y", "example.com/api/*"],
  ["example.com", "/apix", "example.com/*"],
  ["example.com", "/api/v1", "example.com/api/v1"],
  ["example.com", "/api/v1/", "example.com/api/*"],
  ["example.com", "/api/v10", "example.com/api/*"],
  ["example.com", "/API", "example.com/*"],
  ["example.com", "*", "example.com/*"],
  ["a.example.com", "/", "*.example.com/*"],
  ["b.a.example.com", "/", undefined], // that host's routes alone
  ["c.b.a.example.com", "/only", "*.a.example.com/only"],
  ["example.org", "/", "*/*"],
  ["notexample.com", "/", "*/*"],
  ["[::1]:80", "/", "[::1]/*"],
  ["[::2]", "/", "*/*"],
];

for (const [authority, target, expected] of SHAPES) {
  const keys = [
    "example.com/*",
    "example.com/api/*",
    "example.com/api/v1",
    "*.example.com/*",
    "*.a.example.com/only",
    "[::1]/*",
    "*/*",
  ];
  Deno.test(`RouteTable.find() gives ${expected} for ${authority} ${target}, in whatever order the keys stand`, () => {
    fc.assert(fc.property(fc.shuffledSubarray(keys, { minLength: keys.length }), (shuffled) => {
      assertEquals(tableOf(...shuffled).find(authority, target), expected);
    }));
  });
}

// Each of these spellings of /admin has led past another proxy's rules for it.
const SPELLINGS = [
  "/public/../admin",
  "/public/..;/admin",
  "/public/..;x=1/admin",
  "/public/%2e%2e/admin",
  "/public/.%2E/admin",
  "/public/..%2fadmin",
  "/public/..%5cadmin",
  "/public\\..\\admin",
  "/public/%2e%2e%3b/admin",
  "//admin",
  "/./admin",
  "/;/../admin",
  "/public/x/../../admin/y",
  "/%2fadmin",
  "/\\admin",
  "/public/..%2f%2fadmin",
];

for (const target of SPELLINGS) {
  Deno.test(`RouteTable.find() takes ${target} neither for /public nor for anybody else's`, () => {
    assertEquals(tableOf("*/*", "*/admin/*", "*/public/*").find("x", target), AMBIGUOUS);
    assertEquals(tableOf("*/*").find("x", target), "*/*"); // whichever it means, it is the same route
  });
}

// The loose form and the plain form of these are below /public. A backend that takes only some of the separators, or that
// resolves dots without merging slashes (as the URL standard does), reads them as /admin.
const PARTLY_READ = [
  "/public/a%2fb/../../admin",
  "/public/a%5Cb/../../admin",
  "/public/a\\b/../../admin",
  "/public/a\\b\\c/..%2f../admin",
  "/public/../admin/..;/public",
  "/public/../admin/..%3b/public",
  "/public/../admin//../public",
  "/public/../admin/%2e%2e/public",
];

for (const target of PARTLY_READ) {
  Deno.test(`RouteTable.find() does not take ${target} for /public, because some backends see /admin`, () => {
    assertEquals(tableOf("*/*", "*/admin/*", "*/public/*").find("x", target), AMBIGUOUS);
    assertEquals(tableOf("*/*").find("x", target), "*/*"); // whichever it means, it is the same route
  });
}

Deno.test("RouteTable.find() takes escaped slashes, and dots within a name, for what they are", () => {
  const table = tableOf("*/*", "*/compare/*");
  for (const target of ["/compare/a%2fb..c%2fd", "/compare/a%2fb...c", "/compare/x/../a", "/compare/a//b;c"]) {
    assertEquals(table.find("x", target), "*/compare/*", target);
  }
});

Deno.test("RouteTable.find() takes an escaped NUL for nobody's", () => {
  assertEquals(tableOf("*/*").find("x", "/a%00b"), AMBIGUOUS);
  assertEquals(tableOf("*/*").find("x", "/a?b=%00"), "*/*");
});

Deno.test("RouteTable.find() compares with unreserved characters decoded, in keys and in paths", () => {
  for (const key of ["*/admin/*", "*/%61dmin/*"]) {
    for (const target of ["/admin", "/%61dmin", "/a%64m%69n/x"]) assertEquals(tableOf(key).find("x", target), key);
  }
  assertEquals(tableOf("*/a%2fb/*").find("x", "/a%2Fb/c"), "*/a%2fb/*");
  assertEquals(tableOf("*/a%2fb/*", "*/a/b/*").find("x", "/a%2Fb/c"), AMBIGUOUS);
});

// A character that is no slash may be escaped too: backends decode it before they look.
Deno.test("RouteTable.find() takes no escape of a key's character for another path", () => {
  assertEquals(tableOf("*/*", "*/a!b/*").find("x", "/a%21b"), AMBIGUOUS);
  assertEquals(tableOf("*/*", "*/a%21b/*").find("x", "/a!b"), "*/*");
});

const segment = fc.constantFrom("a", "b", "ab", "admin", "%61", "%2f", "%2e", "..", ".", ";", "..;x", "%5c", "", "A");
const path = fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join("/")}`);
const host = fc.constantFrom("x", "a.x", "b.a.x", "y");
const keyHost = fc.constantFrom("*", "x", "*.x", "a.x", "*.a.x");
const keyPath = fc.tuple(fc.array(fc.constantFrom("a", "b", "ab", "admin"), { maxLength: 3 }), fc.boolean())
  .map(([segments, isPrefix]) =>
    segments.length === 0 ? (isPrefix ? "/*" : "/") : `/${segments.join("/")}${isPrefix ? "/*" : ""}`
  );
const keys = fc.uniqueArray(fc.tuple(keyHost, keyPath).map((parts) => parts.join("")), { maxLength: 12 });

/** Contract by the letter, with lists instead of trees. */
function reference(keys: readonly string[], authority: string, path: string): string | undefined {
  const hostOf = (key: string) => key.slice(0, key.indexOf("/"));
  const fits = (pattern: string) =>
    pattern === "*" || pattern === authority ||
    (pattern.startsWith("*.") && authority.endsWith(pattern.slice(1)) && authority.length >= pattern.length);
  const rank = (pattern: string) => pattern === authority ? 1000 : pattern.length;
  const hosts = keys.map(hostOf).filter(fits).sort((a, b) => rank(b) - rank(a));
  const own = keys.filter((key) => hostOf(key) === hosts[0]).map((key) => key.slice(key.indexOf("/")));
  const plain = plainForm(path);
  if (own.includes(plain)) return hosts[0] + plain;
  const prefixes = own.filter((key) => key.endsWith("/*") && `${plain}/`.startsWith(key.slice(0, -1)));
  const longest = prefixes.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? undefined : hosts[0] + longest;
}

Deno.test("RouteTable.find() finds what a list of rules finds, or says that it can't tell", () => {
  fc.assert(
    fc.property(keys, host, path, (keys, authority, target) => {
      const found = tableOf(...keys).find(authority, target);
      if (found !== AMBIGUOUS) assertEquals(found, reference(keys, authority, target));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("RouteTable.find() gives no spelling of a path what its normal form does not get", () => {
  fc.assert(
    fc.property(keys, host, path, (keys, authority, target) => {
      const table = tableOf(...keys);
      const found = table.find(authority, target);
      if (found === AMBIGUOUS) return;
      const normal = looseForm(target);
      assertEquals(found, table.find(authority, normal));
    }),
    { numRuns: 2000 },
  );
});

/** What one kind of backend makes of a path. All of them resolve dot segments. */
interface Reading {
  /** Spellings that count as a slash. */
  readonly slashes: RegExp;
  readonly merges: boolean;
  readonly cutsParameters: boolean;
  readonly decodesDots: boolean;
}

const READINGS: readonly Reading[] = [/(?!)/g, /%2f/gi, /\\/g, /%5c|\\/gi, /%2f|%5c|\\/gi].flatMap((slashes) =>
  [false, true].flatMap((merges) =>
    [false, true].flatMap((cutsParameters) =>
      [false, true].map((decodesDots) => ({ slashes, merges, cutsParameters, decodesDots }))
    )
  )
);

function read(path: string, { slashes, merges, cutsParameters, decodesDots }: Reading): string {
  const stack: string[] = [];
  const segments = path.replaceAll(slashes, "/").slice(1).split("/");
  segments.forEach((segment, index) => {
    const decoded = decodesDots ? segment.replaceAll(/%2e/gi, ".") : segment;
    const name = cutsParameters ? decoded.replace(/;.*/, "") : decoded;
    const isLast = index === segments.length - 1;
    if (name === "..") stack.pop();
    if (name === ".." || name === ".") {
      if (isLast) stack.push("");
    } else if (name !== "" || !merges || isLast) stack.push(segment);
  });
  return `/${stack.join("/")}`;
}

Deno.test("RouteTable.find() takes a path for a key only if every kind of backend does", () => {
  const part = fc.constantFrom(
    "a",
    "b",
    "admin",
    "..",
    "..",
    ".",
    "..;x",
    "%2e%2e",
    "",
    "a%2fb",
    "a\\b",
    "a%5cb",
    "..%2f..",
  );
  const hostile = fc.array(part, { maxLength: 8 }).map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(keys, hostile, fc.constantFrom(...READINGS), (keys, target, reading) => {
      const table = tableOf(...keys);
      const found = table.find("x", target);
      if (found === AMBIGUOUS) return;
      assertEquals(table.find("x", looseForm(read(target, reading))), found);
    }),
    { numRuns: 20_000 },
  );
});
