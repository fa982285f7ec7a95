/** What `fetch` lets through from a backend, and a client must not get. */

import { malformedResponse } from "../../failures.ts";

/** Refuses what can't be passed on: a 101 that was not requested, a status that `Response` does not know, two framings at once. */
export function checkResponse(response: Response): void {
  const { status, headers } = response;
  const coding = headers.get("transfer-encoding");
  const problem = status < 200 || status > 599
    ? `status ${status}`
    : coding !== null && headers.has("content-length")
    ? "Transfer-Encoding and Content-Length"
    // `fetch` takes off "chunked" alone, and passes what is encoded otherwise on as if it were the body.
    : coding !== null && coding.toLowerCase() !== "chunked"
    ? "a Transfer-Encoding other than chunked"
    : undefined;
  if (problem === undefined) return;
  response.body?.cancel().catch(() => {}); // it goes nowhere
  throw malformedResponse(problem);
}
