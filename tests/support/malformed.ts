/** Expects the codec to refuse. */

import { assertEquals, assertThrows } from "@std/assert";
import { MalformedMessage } from "../../src/http1/malformed.ts";

/** Fails unless `read` refuses with such a message, and not for being too large. */
export function assertMalformed(read: () => unknown, message: RegExp, what: string): void {
  const error = assertThrows(read, MalformedMessage, "", what);
  assertEquals([message.test(error.message), error.tooLarge], [true, false], `${what}: ${error.message}`);
}
