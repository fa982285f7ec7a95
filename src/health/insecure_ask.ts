/** HTTP requests to servers whose certificates are not checked (`tls.insecure`): `fetch` can't, `node:https` can. */

import { request } from "node:https";
import { Readable } from "node:stream";

export interface InsecureRequest {
  readonly method?: string | undefined;
  readonly headers: Headers;
  readonly signal?: AbortSignal | null | undefined;
}

/** Sends a request over a connection of its own; resolves with the answer's head. Its body has to be read or cancelled. */
export function askInsecurely(
  url: string,
  { method = "GET", headers, signal }: InsecureRequest,
): Promise<{ readonly status: number; readonly body: NonNullable<Response["body"]> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof askInsecurely>>>();
  const asked = request(url, {
    method,
    headers: Object.fromEntries(headers),
    agent: false,
    rejectUnauthorized: false,
    ...(signal == null ? {} : { signal }),
  });
  asked.once("response", (response) => {
    // The two kinds of streams are declared apart, and are the same thing.
    const body = Readable.toWeb(response) as unknown as NonNullable<Response["body"]>;
    resolve({ status: response.statusCode ?? 0, body });
  });
  asked.on("error", (error) => reject(signal?.aborted === true ? signal.reason : error));
  asked.end();
  return promise;
}
