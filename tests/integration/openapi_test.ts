// What `GET /openapi.json` says of each GET holds: its status, its content type, and every field of its JSON.

import { assert, assertEquals } from "@std/assert";
import * as z from "zod";
import { HttpBackend } from "../support/http_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { TestProxy } from "../support/proxy.ts";

const TOKEN = "s3cret";

const documented = z.looseObject({
  openapi: z.literal("3.1.0"),
  paths: z.record(
    z.string(),
    z.looseObject({
      get: z.looseObject({
        security: z.array(z.unknown()).optional(),
        responses: z.looseObject({
          "200": z.looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.looseObject({}) })) }),
        }),
      }).optional(),
    }),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

/** Answers that show a whole that others describe, so that they may have more than the description says. */
const IN_OUTLINE = ["/explain", "/openapi.json"];

/** The schema of an answer, with all that it refers to. Objects take no other fields, unless the answer is an outline. */
function readerOf(schemas: object, schema: object, closed: boolean): z.ZodType {
  const whole = JSON.stringify({ $defs: schemas, ...schema }).replaceAll("#/components/schemas/", "#/$defs/");
  return z.fromJSONSchema(JSON.parse(whole, (_key, value) => {
    const isOpen = closed && value !== null && value.type === "object" && value.additionalProperties === undefined;
    return isOpen && value.properties !== undefined ? { ...value, additionalProperties: false } : value;
  }));
}

Deno.test("every GET of openapi.json answers what the description says, over a socket, with and without the token", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  await using proxy = await TestProxy.start({
    admin: { token: TOKEN },
    backends: [blue.url],
    pools: { green: { backends: [green.url] } },
    routes: { "*/*": "default", "*/split/*": { pool: { default: 1, green: 1 } } },
    health: { interval: "50ms" },
  });
  for (const path of ["/", "/split/x"]) {
    using client = await RawClient.connect(proxy.port);
    assertEquals((await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`))?.status, 200);
  }
  const headers = { authorization: `Bearer ${TOKEN}` };
  const get = async (path: string, init: RequestInit = { headers }) => {
    const response = await fetch(`${proxy.adminUrl}${path}`, init);
    const contentType = response.headers.get("content-type") ?? "";
    // The event stream has no end.
    const isStream = contentType === "text/event-stream";
    if (isStream) await response.body?.cancel();
    return { status: response.status, contentType, text: isStream ? "" : await response.text() };
  };
  const first = await get("/openapi.json");
  assertEquals(await get("/openapi.json"), first);
  const { paths, components } = documented.parse(JSON.parse(first.text));
  const ids = new Map<string, string>();
  for (const prefix of ["", "/pools/green"]) {
    ids.set(
      prefix,
      z.array(z.looseObject({ id: z.string() })).parse(JSON.parse((await get(`${prefix}/backends`)).text))[0]?.id ?? "",
    );
  }
  let seen = 0;
  for (const [template, { get: described }] of Object.entries(paths)) {
    if (described === undefined) continue;
    const prefix = template.startsWith("/pools/{pool}") ? "/pools/green" : "";
    const path = template.replace("{pool}", "green").replace("{id}", ids.get(prefix) ?? "");
    const [[contentType, { schema }] = ["", { schema: {} }]] = Object.entries(described.responses["200"].content);
    const answer = await get(path);
    assertEquals([answer.status, answer.contentType], [200, contentType], path);
    if (contentType === "application/json") {
      const reading = readerOf(components.schemas, schema, !IN_OUTLINE.includes(path)).safeParse(
        JSON.parse(answer.text),
      );
      assert(reading.success, `${path}: ${reading.error?.message}`);
    }
    const without = await get(path, {});
    const open = described.security?.length === 0;
    assertEquals(
      [without.status, without.contentType],
      open ? [200, contentType] : [401, "application/problem+json"],
      `${path} without the token`,
    );
    seen++;
  }
  assert(seen > 20, `${seen}`);
});
