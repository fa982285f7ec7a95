/** How the admin API shows a backend, as JSON. */

import type * as z from "zod";
import type { DeepReadonly } from "../config/fields.ts";
import type { Backend } from "../pool/backend.ts";
import type { backendAnswer } from "./answers.ts";

/** A backend in `GET /status`, `GET /backends` and the responses to changes. Unknown values are `null`. */
export type BackendView = DeepReadonly<z.output<typeof backendAnswer>>;

/** The present values of a backend, in the order of the API documentation. */
export function backendView(backend: Backend): BackendView {
  return {
    id: backend.id,
    url: backend.url,
    alive: backend.alive,
    state: backend.state,
    weight: backend.weight,
    backup: backend.backup,
    currentConnections: backend.currentConnections,
    maxConnections: backend.maxConnections,
    totalRequests: backend.totalRequests,
    totalFailures: backend.totalFailures,
    responses: backend.responses,
    lastMinute: backend.lastMinute.counts(),
    latencyMs: latencyView(backend),
    lastCheck: backend.lastCheck,
    lastChange: backend.lastChange,
  };
}

/** An average that the last minute has not confirmed is not shown as the present one. */
function latencyView(backend: Backend): BackendView["latencyMs"] {
  const recent = backend.recentLatency();
  return recent === null ? { ewma: null, p50: null, p95: null, p99: null } : { ewma: backend.latencyMs, ...recent };
}

/** A response with JSON. Status 200 and `application/json` unless `init` says otherwise. */
export function answerJson(value: unknown, init?: AnswerInit): Response {
  return answerText(JSON.stringify(value), init);
}

interface AnswerInit {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As `answerJson`, of a value that is text already. */
export function answerText(json: string, init: AnswerInit = {}): Response {
  const body = new TextEncoder().encode(json);
  const headers = {
    "content-type": "application/json",
    // A response to HEAD has headers only. Without this line its length would be 0.
    "content-length": String(body.length),
    "cache-control": "no-store",
    ...init.headers,
  };
  return new Response(body, { status: init.status ?? 200, headers });
}
