import { assertEquals } from "@std/assert";
import { runtimePropagates } from "../../../../src/engines/fetch/runtime_trace.ts";

Deno.test("runtimePropagates() says whether the runtime adds a traceparent, by the variables that it goes by", () => {
  const said = (variables: Record<string, string>) => runtimePropagates((name) => variables[name]);
  assertEquals([said({}), said({ OTEL_DENO: "false" }), said({ OTEL_DENO: "1" })], [false, false, false]);
  assertEquals(said({ OTEL_DENO: "true" }), true);
  for (const [propagators, expected] of [["baggage, tracecontext", true], ["none", false], ["b3", false]] as const) {
    assertEquals(said({ OTEL_DENO: "true", OTEL_PROPAGATORS: propagators }), expected, propagators);
  }
});
