/** Reads the head of a backend's response once, into plain values. Refuses what `fetch` accepts but a client must not get. */

import { malformedResponse } from "../../failures.ts";
import type { HeaderPair } from "../../proxy/message.ts";

/** The head of a response, as this engine knows it. */
export interface FetchResponseHead {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** The length that the head gives; `undefined`: none. */
  readonly bodyBytes: number | undefined;
}

/**
 * Throws for a response that can't be forwarded: a 101 that was not requested, a status that `Response` does not
 * accept, two framings at once, or a transfer coding other than chunked.
 */
export function readResponseHead(response: Response): FetchResponseHead {
  const { status } = response;
  const fields = new ResponseFields();
  response.headers.forEach(takeField, fields); // iteration would make an object for each step
  const { headers, length, coding } = fields;
  const problem = status < 200 || status > 599
    ? `status ${status}`
    : coding !== undefined && length !== undefined
    ? "Transfer-Encoding and Content-Length"
    // `fetch` decodes only "chunked". It returns a body with another coding without decoding it.
    : coding !== undefined && coding.toLowerCase() !== "chunked"
    ? "a Transfer-Encoding other than chunked"
    : undefined;
  if (problem === undefined) {
    return { status, headers, bodyBytes: length === undefined ? undefined : Number(length) };
  }
  response.body?.cancel().catch(() => {}); // nobody will read it
  throw malformedResponse(problem);
}

/** Collects values from the headers, which are passed in one after the other. */
class ResponseFields {
  readonly headers: HeaderPair[] = [];
  length: string | undefined;
  coding: string | undefined;

  take(name: string, value: string): void {
    this.headers.push([name, value]);
    if (name === "content-length") this.length = value;
    else if (name === "transfer-encoding") this.coding = value;
  }
}

/** A function, so that no closure is made for each response. */
function takeField(this: ResponseFields, value: string, name: string): void {
  this.take(name, value);
}
