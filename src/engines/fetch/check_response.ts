/** Refuses responses that `fetch` accepts but a client must not get. */

import { malformedResponse } from "../../failures.ts";

/**
 * Throws for a response that can't be forwarded: a 101 that was not requested, a status that `Response` does not
 * accept, two framings at once, or a transfer coding other than chunked.
 */
export function checkResponse(response: Response): void {
  const { status, headers } = response;
  const coding = headers.get("transfer-encoding");
  const problem = status < 200 || status > 599
    ? `status ${status}`
    : coding !== null && headers.has("content-length")
    ? "Transfer-Encoding and Content-Length"
    // `fetch` decodes only "chunked". It returns a body with another coding without decoding it.
    : coding !== null && coding.toLowerCase() !== "chunked"
    ? "a Transfer-Encoding other than chunked"
    : undefined;
  if (problem === undefined) return;
  response.body?.cancel().catch(() => {}); // nobody will read it
  throw malformedResponse(problem);
}
