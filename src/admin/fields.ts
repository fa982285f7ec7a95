/** How routes read what a caller sent: with a schema, and every mistake told at once. */

import * as z from "zod";
import { readWith } from "../config/diagnostics.ts";
import { invalidFields } from "./admin_error.ts";

/** What a route wants that takes no fields. */
export const NO_FIELDS = z.strictObject({});

/** Returns what the schema makes of `value`; 400 with every field that is wrong. `whole` names the top level. */
export function readFields<T extends z.ZodType>(schema: T, value: unknown, whole: "body" | "query"): z.output<T> {
  const reading = readWith(schema, value);
  if (!reading.ok) throw invalidFields(reading.diagnostics, whole);
  return reading.value;
}
