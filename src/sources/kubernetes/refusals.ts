/** Why the API server gives no EndpointSlices, in words that say what to do. */

import * as z from "zod";
import { failureOf, oneLine } from "../asking.ts";
import { SourceError } from "../source.ts";
import { readJson } from "../text_buffer.ts";

/** The version that a watch or a page asks for is no longer kept. A new list helps. */
export class ExpiredError extends SourceError {}

/** A `Status` object: what the API server says of an error. */
const status = z.object({
  kind: z.literal("Status"),
  code: z.int().nullish(),
  message: z.string().nullish(),
});

const MAX_STATUS_BYTES = 64 * 1024;

/** Reads a response that is not 200. */
export async function refusalOf(response: Response, namespace: string, stop: AbortSignal): Promise<SourceError> {
  // A body that says nothing is no reason to hide the status.
  const body = await readJson(response.body, MAX_STATUS_BYTES, stop).catch(() => undefined);
  return refusal(response.status, status.safeParse(body).data?.message ?? "", namespace);
}

/** Reads the object of an event of the type ERROR. */
export function errorEvent(object: unknown): SourceError {
  const { code, message } = status.safeParse(object).data ?? {};
  return refusal(code ?? 0, message ?? "");
}

function refusal(code: number, message: string, namespace?: string): SourceError {
  const said = message === "" ? "" : `: ${oneLine(message)}`;
  switch (code) {
    case 401:
      return new SourceError(`the API server does not accept the token (401)${said}`);
    case 403:
      return new SourceError(
        `the API server forbids it (403); its Role must allow get, list and watch on endpointslices of ` +
          `discovery.k8s.io${namespace === undefined ? "" : ` in the namespace ${namespace}`}${said}`,
      );
    case 404:
      return new SourceError(`the API server has no endpointslices of discovery.k8s.io/v1 (404)${said}`);
    case 410:
      return new ExpiredError(`the version is no longer kept (410)${said}`);
    default:
      return new SourceError(`the API server reports an error${code === 0 ? "" : ` (${code})`}${said}`);
  }
}

/** The failure of a request: no connection, one that was lost, or no response in time. */
export function connectFailure(error: unknown): SourceError {
  if (error instanceof SourceError) return error;
  return new SourceError(`the API server can't be reached: ${failureOf(error).message}`, { cause: error });
}
