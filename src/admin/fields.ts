/** Reads what a caller has sent with a schema, and reports all errors at once. */

import * as z from "zod";
import { readWith } from "../config/diagnostics.ts";
import { invalidFields } from "./admin_error.ts";

/** The schema of a route without fields. */
export const NO_FIELDS = z.strictObject({});

/** Returns `value` as read by the schema; 400 with every invalid field. `whole` names the top level. */
export function readFields<T extends z.ZodType>(schema: T, value: unknown, whole: "body" | "query"): z.output<T> {
  const reading = readWith(schema, value);
  if (!reading.ok) throw invalidFields(reading.diagnostics, whole);
  return reading.value;
}
