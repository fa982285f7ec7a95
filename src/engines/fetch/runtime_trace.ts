/** Gets along with the runtime's own OpenTelemetry (`OTEL_DENO=true`), which traces `Deno.serve` and `fetch` by itself. */

import { traceIdOf } from "../../proxy/trace.ts";
import type { FetchRequestHead } from "./request_head.ts";

/** Where OpenTelemetry's API for JavaScript keeps the span in a context. */
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** Whether the runtime adds a `traceparent` of its own to each `fetch`. It reads these variables once, at its start. */
export function runtimePropagates(env: (name: string) => string | undefined): boolean {
  if (env("OTEL_DENO") !== "true") return false;
  const propagators = env("OTEL_PROPAGATORS");
  return propagators === undefined || propagators.split(",").some((name) => name.trim() === "tracecontext");
}

/**
 * The head with the trace that the runtime's span for this request belongs to in place of the client's, so that the
 * access log names the one that is exported. To be called while the request is being handed over.
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
