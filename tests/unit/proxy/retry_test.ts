import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type ErrorCode, ProxyError } from "../../../src/errors.ts";
import { mayGoAgain, mayRetry, type RetryQuestion } from "../../../src/proxy/retry.ts";

function failure(code: ErrorCode, requestSent: boolean): ProxyError {
  return new ProxyError("test", { code, side: "backend", requestSent });
}

function ask(question: Partial<RetryQuestion>, rule = mayRetry): boolean {
  return rule({
    method: "GET",
    hasBody: false,
    replayable: true,
    attempts: 1,
    maxRetries: 2,
    failure: failure("connection_lost", true),
    ...question,
  });
}

Deno.test("mayRetry() lets a connection that was never made be tried elsewhere, whatever the method", () => {
  for (const method of ["GET", "POST", "PATCH", "DELETE", "BREW"]) {
    assertEquals(ask({ method, hasBody: true, failure: failure("connect_failed", false) }), true);
    assertEquals(ask({ method, replayable: false, failure: failure("connect_failed", false) }), false);
  }
});

Deno.test("mayRetry() treats a connect timeout as possibly sent", () => {
  assertEquals(ask({ method: "POST", failure: failure("connect_failed", true) }), false);
  assertEquals(ask({ method: "GET", failure: failure("connect_failed", true) }), true);
});

Deno.test("mayRetry() repeats only idempotent methods without a body once something was sent", () => {
  for (const code of ["connection_lost", "response_timeout"] as const) {
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
      assertEquals(ask({ method, failure: failure(code, true) }), true, method);
      assertEquals(ask({ method, hasBody: true, failure: failure(code, true) }), false, method);
    }
    for (const method of ["POST", "PATCH", "LOCK", "get"]) {
      assertEquals(ask({ method, failure: failure(code, true) }), false, method);
    }
  }
});

Deno.test("mayRetry() never repeats a malformed answer, a client's fault or our own", () => {
  const codes = ["malformed_response", "client_gone", "bad_request", "request_timeout", "internal"] as const;
  for (const code of codes) assertEquals(ask({ failure: failure(code, true) }), false, code);
});

Deno.test("mayRetry() follows the same rule for a configured status", () => {
  assertEquals(ask({ failure: 503 }), true);
  assertEquals(ask({ failure: 503, method: "POST" }), false);
  assertEquals(ask({ failure: 503, method: "PUT", hasBody: true }), false);
});

Deno.test("mayRetry() stops after `maxRetries` whatever happened", () => {
  const failures = fc.constantFrom(
    failure("connect_failed", false),
    failure("connection_lost", true),
    failure("response_timeout", true),
    503,
  );
  fc.assert(fc.property(failures, fc.nat(5), fc.nat(5), (failure, maxRetries, extra) => {
    assertEquals(ask({ failure, maxRetries, attempts: maxRetries + 1 + extra }), false);
    if (maxRetries > 0) assertEquals(ask({ failure, maxRetries, attempts: maxRetries }), true);
  }));
});

Deno.test("mayRetry() lets a failure after a 1xx stand, but not a status that the configuration retries", () => {
  assertEquals(ask({ method: "GET", replayable: false, failure: failure("response_timeout", true) }), false);
  assertEquals(ask({ method: "GET", replayable: false, failure: 503 }), true);
});

Deno.test("mayGoAgain() lets what was never sent wait however often, and else what may be repeated once", () => {
  const again = (question: Partial<RetryQuestion>, wasHeld = true) =>
    ask({ attempts: 9, ...question }, (asked) => mayGoAgain(asked, wasHeld));
  const unsent = failure("connect_failed", false);
  assertEquals(again({ method: "POST", hasBody: true, failure: unsent }), true);
  assertEquals(again({ failure: unsent, replayable: false }), false);
  assertEquals(again({ failure: unsent, replayable: false }), false);
  for (const code of ["connect_failed", "connection_lost"] as const) {
    assertEquals(again({ failure: failure(code, true) }), false);
    assertEquals(again({ failure: failure(code, true) }, false), true);
    assertEquals(again({ failure: failure(code, true), maxRetries: 0 }, false), false);
    assertEquals(again({ failure: failure(code, true), attempts: 1 }), true);
    assertEquals(again({ failure: failure(code, true), method: "POST" }, false), false);
  }
});
