/** Works with the runtime's own OpenTelemetry (`OTEL_DENO=true`), which traces `Deno.serve` and `fetch` by itself. */

import { traceIdOf } from "../../proxy/trace.ts";
import type { FetchRequestHead } from "./request_head.ts";

/** The key under which OpenTelemetry's API for JavaScript keeps the span in a context. */
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** Whether the runtime adds its own `traceparent` to each `fetch`. It reads these variables once, when it starts. */
export function runtimePropagates(env: (name: string) => string | undefined): boolean {
  if (env("OTEL_DENO") !== "true") return false;
  const propagators = env("OTEL_PROPAGATORS");
  return propagators === undefined || propagators.split(",").some((name) => name.trim() === "tracecontext");
}

/**
 * Returns the head with the trace of the runtime's span for this request, instead of the client's trace. So the access
 * log names the trace that is exported. Call it in the handler of `Deno.serve`, before the first `await`.
 */
export function withRuntimeTrace(head: FetchRequestHead): FetchRequestHead {
  const span: SpanContext | undefined = Deno.telemetry.contextManager.active()?.getValue(SPAN)?.spanContext();
  if (span === undefined) return head;
  const { traceId, spanId, traceFlags } = span;
  const continued = head.headers.some(([name, value]) => name === "traceparent" && traceIdOf(value) === traceId);
  const headers = head.headers.filter(([name]) => name !== "traceparent" && (continued || name !== "tracestate"));
  headers.push(["traceparent", `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`]);
  return { ...head, headers, tracedByRuntime: true };
}
