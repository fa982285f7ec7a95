/** What an operation of the admin API says of itself. `openapi.ts` makes the description of the whole API from these. */

import type * as z from "zod";
import type { RefusalStatus } from "./admin_error.ts";

/** The description of one method of a route. */
export interface Description {
  /** What it does, in one line. */
  readonly summary: string;
  /** The schema that the body is read with. Without it, the operation needs no body. */
  readonly body?: z.ZodType;
  /** Whether the body may be left out. Default: no. */
  readonly bodyIsOptional?: boolean;
  /** All that are no refusals. */
  readonly answers: readonly [Answer, ...Answer[]];
  /** The refusals of its own, besides those that `server.ts` and the guards make for every operation. */
  readonly refusals?: readonly RefusalStatus[];
}

/** One answer of an operation. */
export interface Answer {
  readonly status: 200 | 201 | 304;
  readonly summary: string;
  /** As in the header. `null`: the answer has no body. */
  readonly contentType: string | null;
  /** Of a body that is JSON. */
  readonly schema?: z.ZodType;
}

/** An answer with JSON. */
export function jsonAnswer(schema: z.ZodType, summary: string, status: Answer["status"] = 200): Answer {
  return { status, summary, contentType: "application/json", schema };
}
