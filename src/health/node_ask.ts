/**
 * HTTP requests that `fetch` refuses: over certificates that are not checked (`tls.insecure`) or have
 * another name (`tls.serverName`), and to ports it blocks.
 */

import * as http from "node:http";
import * as https from "node:https";
import { Readable } from "node:stream";
import { rootCertificates } from "node:tls";

export interface NodeRequest {
  readonly method?: string | undefined;
  readonly headers: Headers;
  readonly signal?: AbortSignal | null | undefined;
}

/** Which certificates of an HTTPS server are accepted. */
export interface NodeTrust {
  /** Whether any certificate is accepted. */
  readonly insecure: boolean;
  /** The name that the certificate must have; `null`: the host of the URL. */
  readonly serverName: string | null;
  /** Authorities in addition to those of the runtime, in PEM. */
  readonly caCerts?: readonly string[];
}

/** Sends a request over a new connection; resolves with the head of the response. Read or cancel its body. */
export function askThroughNode(
  url: string,
  { method = "GET", headers, signal }: NodeRequest,
  { insecure, serverName, caCerts }: NodeTrust,
): Promise<{ readonly status: number; readonly body: NonNullable<Response["body"]> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof askThroughNode>>>();
  const options = {
    method,
    headers: Object.fromEntries(headers),
    agent: false,
    ...(signal == null ? {} : { signal }),
  } as const;
  const asked = url.startsWith("https:")
    ? https.request(url, {
      ...options,
      rejectUnauthorized: !insecure,
      ...(serverName === null ? {} : { servername: serverName }),
      ...(caCerts === undefined ? {} : { ca: [...rootCertificates, ...caCerts] }),
    })
    : http.request(url, options);
  asked.once("response", (response) => {
    // The two stream types are declared separately, but are the same class.
    const body = Readable.toWeb(response) as unknown as NonNullable<Response["body"]>;
    resolve({ status: response.statusCode ?? 0, body });
  });
  asked.on("error", (error) => reject(signal?.aborted === true ? signal.reason : error));
  asked.end();
  return promise;
}
