// The description of the admin API says what docs/admin-api.md says: a route that one of them left out, and statuses that
// only one of them had, led those astray who wrote clients.

import { assert, assertEquals } from "@std/assert";
import * as z from "zod";
import { documentPath, openApiOf } from "../../../src/admin/openapi.ts";
import { TestAdmin } from "../../support/admin.ts";
import { readPage } from "../../support/page.ts";

const routes = await (async () => {
  await using admin = new TestAdmin();
  return admin.routes;
})();

/** The parts of the document that the tests look at. */
const part = z.looseObject({
  paths: z.record(
    z.string(),
    z.looseObject({ parameters: z.array(z.looseObject({ name: z.string(), description: z.string() })).optional() }),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
  servers: z.array(z.object({ url: z.string() })),
});
const operation = z.looseObject({
  operationId: z.string(),
  summary: z.string().min(1),
  parameters: z.array(z.looseObject({ name: z.string(), in: z.literal("query") })).optional(),
  requestBody: z.looseObject({ required: z.boolean() }).optional(),
  responses: z.record(z.string(), z.looseObject({})),
  security: z.array(z.unknown()).optional(),
});
const document = part.parse(openApiOf({ version: "1.2.3", hasToken: true, routes: () => routes }));

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Every operation by its name, such as `GET /backends/{id}`. */
const operations = new Map(
  Object.entries(document.paths).flatMap(([path, item]): [string, z.output<typeof operation>][] =>
    Object.entries(item).filter(([method]) => METHODS.includes(method))
      .map(([method, described]) => [`${method.toUpperCase()} ${path}`, operation.parse(described)])
  ),
);

function named(name: string): z.output<typeof operation> {
  const found = operations.get(name);
  assert(found !== undefined, `the description has no ${name}`);
  return found;
}

const page = readPage("docs/admin-api.md");
const sectionOf = (title: string) => page.slice(page.indexOf(title) + title.length).split(/\n##+ /)[0] ?? "";

/** The rows of the first table below a title: the texts of their cells. */
function tableBelow(title: string): string[][] {
  const [table = ""] = /(?:^\|.*\n)+/m.exec(sectionOf(title)) ?? [];
  return table.split("\n").slice(2).filter((row) => row !== "")
    .map((row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

const OF_A_POOL = "/pools/{pool}";

/** The names of operations in the table of routes, with the statuses of their row. */
const rows = tableBelow("\n## Routes").map(([route = "", answers = ""]) => ({
  names: route.match(/(?:GET|POST|PUT|PATCH|DELETE) [^`]+/g) ?? [],
  paths: Array.from(route.matchAll(/`(\/[^`]+)`/g), ([, path = ""]) => path),
  statuses: answers.match(/\b\d{3}\b/g) ?? [],
}));

Deno.test("openApiOf() describes every method of every route, and nothing else", () => {
  const all = routes.flatMap(({ path, methods }) =>
    Object.keys(methods).map((name) => `${name} ${documentPath(path)}`)
  );
  assertEquals([...operations.keys()].sort(), all.sort());
  const ids = [...operations.values()].map(({ operationId }) => operationId);
  assertEquals(new Set(ids).size, ids.length, "two operations have one id");
});

Deno.test("the table of routes in docs/admin-api.md names every operation of the description, and no other", () => {
  const inTable = new Set(rows.flatMap(({ names, paths }) => [
    ...names,
    // "As `/backends`", with all its methods.
    ...paths.flatMap((path) =>
      [...operations.keys()].filter((name) => name.endsWith(` ${path.slice(OF_A_POOL.length)}`))
        .map((name) => name.replace(" ", ` ${OF_A_POOL}`))
    ),
  ]));
  const files = [...operations.keys()].filter((name) => name.startsWith("GET /dashboard/"));
  assert(inTable.delete("GET /dashboard/…") && files.length > 0);
  assertEquals([...inTable, ...files].sort(), [...operations.keys()].sort());
});

Deno.test("the table of routes in docs/admin-api.md has the statuses of the description", () => {
  for (const { names, statuses } of rows) {
    const described = names.filter((name) => !name.endsWith("…")).flatMap((name) => Object.keys(named(name).responses));
    if (described.length === 0) continue;
    assertEquals([...statuses].sort(), [...new Set(described)].filter((key) => key !== "default").sort(), `${names}`);
  }
  for (const [name, { responses }] of operations) {
    if (!name.includes(`${OF_A_POOL}/`)) continue;
    const ofDefault = named(name.replace(OF_A_POOL, "")).responses;
    assertEquals(Object.keys(responses).sort(), [...new Set(["404", ...Object.keys(ofDefault)])].sort(), name);
  }
});

Deno.test("each operation has a title of its own in docs/admin-api.md", () => {
  const titles = page.match(/^### .*$/gm) ?? [];
  const missing = rows.flatMap(({ names, paths }) => [...names, ...paths])
    .filter((name) => !name.endsWith("…") && !titles.some((title) => title.includes(`\`${name}\``)));
  assertEquals(missing, []);
});

Deno.test("the tables of parameters and fields in docs/admin-api.md have those of the description", () => {
  const cells = (title: string) => tableBelow(title).map(([name = ""]) => name.replaceAll("`", "")).sort();
  const parameters = (name: string) => named(name).parameters?.map((parameter) => parameter.name).sort();
  assertEquals(cells("\n### `GET /explain`"), parameters("GET /explain"));
  const { properties } = z.looseObject({ properties: z.looseObject({}) }).parse(
    document.components.schemas["Deployment"],
  );
  assertEquals(cells("\n### `PUT /backends`"), Object.keys(properties).sort());
});

Deno.test("the description is complete in itself: each reference leads to a part of it, each parameter is explained", () => {
  const text = JSON.stringify(document);
  const references = new Set(Array.from(text.matchAll(/"\$ref":"#([^"]*)"/g), ([, path = ""]) => path));
  assert(references.has("/components/schemas/Backend") && references.has("/components/responses/Problem"));
  for (const reference of references) {
    let at: unknown = document;
    for (const key of reference.split("/").slice(1)) at = Object(at)[key];
    assert(typeof at === "object" && at !== null, `${reference} leads nowhere`);
  }
  assertEquals(text.match(/"\$ref":"[^#][^"]*"|"\$(?:id|schema)":"/g), null);
  for (const [path, { parameters = [] }] of Object.entries(document.paths)) {
    assertEquals(parameters.map(({ name }) => `{${name}}`), path.match(/\{\w+\}/g) ?? [], path);
  }
});

Deno.test("the schemas of bodies are those that read requests", () => {
  const accepts = (name: string, value: unknown) => {
    const definitions = { $defs: document.components.schemas, $ref: `#/$defs/${name}` };
    return z.fromJSONSchema(JSON.parse(JSON.stringify(definitions).replaceAll("#/components/schemas/", "#/$defs/")))
      .safeParse(value).success;
  };
  const url = "http://127.0.0.1:9001";
  assertEquals([{ url }, { url, weight: 256 }].map((body) => accepts("NewBackend", body)), [true, true]);
  assertEquals(
    [{}, { url, weight: 257 }, { url, wieght: 1 }, { url: "ftp://x" }, { url, tls: {} }]
      .map((body) => accepts("NewBackend", body)),
    [false, false, false, false, false],
  );
  assert(accepts("BackendChanges", { maxConnections: null, state: "draining" }));
  assert(!accepts("BackendChanges", { state: "gone" }));
  assert(accepts("Deployment", { backends: [url, { url, weight: 2 }], wait: "1m" }));
  assert(!accepts("Deployment", { backends: [] }));
});

Deno.test("the description says which routes need the token, if one is set", () => {
  assertEquals(named("GET /healthz").security, []);
  assertEquals(named("GET /").security, []);
  assertEquals(named("GET /openapi.json").security, undefined);
  assert("security" in document);
  assert(!("security" in openApiOf({ version: "1.2.3", hasToken: false, routes: () => routes })));
});
