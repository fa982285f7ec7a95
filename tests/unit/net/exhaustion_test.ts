import { assertEquals } from "@std/assert";
import { isExhaustion, isSystemExhausted } from "../../../src/net/exhaustion.ts";

/** An error with a code, as of `Deno.connect` and `node:http`. */
function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** An error of `fetch`. */
function fetchError(reason: string): Error {
  const cause = new Error(`error sending request for url (http://a:1/): client error (Connect): ${reason}`);
  return new TypeError("fetch failed", { cause });
}

Deno.test("isExhaustion() knows what a lack of descriptors or ports looks like, whoever tells of it", () => {
  const own = [
    coded("Too many open files (os error 24)", "EMFILE"),
    coded("connect ENFILE 127.0.0.1:1", "ENFILE"),
    coded("No buffer space available (os error 105)", "ENOBUFS"),
    coded("Cannot allocate memory (os error 12)", "ENOMEM"),
    coded("Cannot assign requested address (os error 99)", "EADDRNOTAVAIL"),
    fetchError("tcp open error: Too many open files (os error 24)"),
    fetchError("tcp open error: Too many open files in system (os error 23)"),
    fetchError("tcp open error: No buffer space available (os error 105)"),
    fetchError("tcp connect error: Cannot assign requested address (os error 99)"),
    "NetworkError: failed to connect to WebSocket: tcp open error",
  ];
  for (const error of own) assertEquals(isExhaustion(error), true, String(error));
});

Deno.test("isExhaustion() leaves a backend's failures to the backend", () => {
  const others = [
    coded("Connection refused (os error 111)", "ECONNREFUSED"),
    coded("Network is unreachable (os error 101)", "ENETUNREACH"),
    new Error("failed to lookup address information: Name or service not known"),
    fetchError("tcp connect error: Connection refused (os error 111)"),
    fetchError("dns error: failed to lookup address information: Name or service not known"),
    "NetworkError: failed to connect to WebSocket: tcp connect error",
    "NetworkError: failed to connect to WebSocket: dns error",
    undefined,
  ];
  for (const error of others) assertEquals(isExhaustion(error), false, String(error));
});

Deno.test("isSystemExhausted() tells what the system has no more of from what became of one client", () => {
  for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) assertEquals(isSystemExhausted(coded("", code)), true);
  for (const code of ["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EADDRNOTAVAIL"]) {
    assertEquals(isSystemExhausted(coded("", code)), false, code);
  }
  assertEquals(isSystemExhausted(undefined), false);
});
