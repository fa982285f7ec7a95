// The runtime's own OpenTelemetry beside ours, with a stand-in for a collector.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly path: string;
}

const SERVER = 2;
const CLIENT = 3;

/** Takes what is exported to it, as OTLP in JSON. */
class Collector extends HttpBackend {
  readonly spans: Span[];

  constructor() {
    const spans: Span[] = [];
    super(async (request) => {
      const body = await request.json();
      for (const { scopeSpans } of body.resourceSpans ?? []) {
        for (const { spans: exported } of scopeSpans) {
          for (const span of exported) {
            const path = span.attributes.find(({ key }: { key: string }) => key === "url.path")?.value.stringValue;
            spans.push({ ...span, path });
          }
        }
      }
      return Response.json({});
    });
    this.spans = spans;
  }
}

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

Deno.test("engine fetch: with OTEL_DENO=true a trace leads from the client through roundhouse to the backend, and the log names it", async () => {
  // The runtime adds its `traceparent` to what we send. Two of them, joined, were no trace at all to backends.
  const seen = new Map<string, Headers>();
  await using collector = new Collector();
  await using backend = new HttpBackend((request) => {
    seen.set(new URL(request.url).pathname, request.headers);
    return new Response("ok");
  });
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await using _file = { [Symbol.asyncDispose]: () => Deno.remove(path) };
  const settings = { backends: [backend.url], health: { type: "none" }, log: { access: true } };
  await Deno.writeTextFile(path, JSON.stringify(settings));
  const args = ["-c", path, "--host", "127.0.0.1", "-p", "0", "--admin-port", "0", "--engine", "fetch"];
  await using program = await Program.start(args, {
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    },
  });
  const given = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: "a=1" };
  for (
    const [path, headers] of [["/started", {}], ["/given", given], ["/broken", { ...given, traceparent: "x" }]] as const
  ) {
    await (await fetch(program.url + path, { headers: { ...headers } })).text();
    const span = (kind: number) => collector.spans.find((span) => span.kind === kind && span.path === path);
    await waitFor(() => span(SERVER) !== undefined && span(CLIENT) !== undefined, {
      what: `the spans of ${path}`,
      timeoutMs: 20_000,
    });
    const [server, client] = [span(SERVER), span(CLIENT)];
    assert(server !== undefined && client !== undefined);
    assertEquals([client.traceId, client.parentSpanId], [server.traceId, server.spanId], path);
    assertEquals(seen.get(path)?.get("traceparent"), `00-${client.traceId}-${client.spanId}-01`, path);
    assertEquals(seen.get(path)?.get("tracestate"), path === "/given" ? "a=1" : null, path);
    const { traceId } = await program.logged("request", { path });
    assertEquals(traceId, server.traceId, path);
    assertMatch(server.traceId, /^[0-9a-f]{32}$/);
    assertEquals([server.traceId === TRACE, server.parentSpanId === PARENT], [path === "/given", path === "/given"]);
  }
});
