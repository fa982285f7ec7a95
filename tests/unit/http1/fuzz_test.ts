/** Properties of the codec as a whole, over streams that attackers would send. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { hostileRequests, hostileResponses, inPieces } from "../../support/http1_arbitraries.ts";
import { oracleRequests } from "../../support/http1_oracle.ts";
import { latin1, readRequests, readResponses, type ReadStream } from "../../support/http1_stream.ts";

const RUNS = 5000;

Deno.test("codec reads the same requests as the grammar, no more and no fewer", () => {
  fc.assert(
    fc.property(hostileRequests, (text) => {
      assertEquals(withoutReason(readRequests([latin1(text)])), withoutReason(oracleRequests(text)));
    }),
    { numRuns: RUNS },
  );
});

Deno.test("codec reads the same requests in whatever pieces they come", () => {
  const stream = hostileRequests.chain((text) => fc.tuple(fc.constant(text), inPieces(text)));
  fc.assert(
    fc.property(stream, ([text, pieces]) => {
      assertEquals(withoutReason(readRequests(pieces)), withoutReason(readRequests([latin1(text)])));
    }),
    { numRuns: RUNS },
  );
});

Deno.test("codec reads the same responses in whatever pieces they come", () => {
  const stream = hostileResponses.chain((text) => fc.tuple(fc.constant(text), inPieces(text)));
  fc.assert(
    fc.property(stream, fc.constantFrom("GET", "HEAD"), ([text, pieces], method) => {
      assertEquals(withoutReason(readResponses(pieces, method)), withoutReason(readResponses([latin1(text)], method)));
    }),
    { numRuns: RUNS },
  );
});

/** Whether something is refused does not hang on the pieces; which fault of several is named may. */
function withoutReason<Head>({ messages, refused }: ReadStream<Head>) {
  return { messages, refused: refused !== undefined };
}
