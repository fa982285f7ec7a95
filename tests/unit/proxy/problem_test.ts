import { assertEquals, assertNotMatch } from "@std/assert";
import { type ErrorCode, ProxyError } from "../../../src/errors.ts";
import { problemFor } from "../../../src/proxy/problem.ts";

const STATUSES: Record<ErrorCode, number> = {
  bad_request: 400,
  no_route: 404,
  denied: 403,
  rate_limited: 429,
  concurrency_limited: 503,
  unauthorized: 401,
  auth_unavailable: 503,
  method_not_allowed: 405,
  body_too_large: 413,
  head_too_large: 431,
  head_timeout: 408,
  body_timeout: 408,
  idle_timeout: 504,
  client_gone: 499,
  internal: 500,
  not_implemented: 501,
  connect_failed: 502,
  connection_lost: 502,
  malformed_response: 502,
  no_backend: 503,
  queue_full: 503,
  stopping: 503,
  response_timeout: 504,
  request_timeout: 504,
};

Deno.test("problemFor() gives each failure its status as RFC 9457 JSON", () => {
  for (const [code, status] of Object.entries(STATUSES) as [ErrorCode, number][]) {
    const problem = problemFor(new ProxyError("detail", { code, side: "proxy", requestSent: false }), "id-1", 7);
    const body = JSON.parse(problem.body);
    assertEquals([problem.status, body.status, body.requestId, body.type], [status, status, "id-1", "about:blank"]);
    const headers = new Map(problem.headers);
    assertEquals(headers.get("content-type"), "application/problem+json");
    assertEquals(headers.get("retry-after"), status === 503 || status === 429 ? "7" : undefined, code);
  }
});

Deno.test("problemFor() never shows a backend's address", () => {
  const codes: ErrorCode[] = [
    "connect_failed",
    "connection_lost",
    "malformed_response",
    "response_timeout",
    "internal",
  ];
  for (const code of codes) {
    const error = new ProxyError("http://10.1.2.3:9001 refused", { code, side: "backend", requestSent: true });
    assertNotMatch(problemFor(error, "id", 1).body, /10\.1\.2\.3/);
  }
});
