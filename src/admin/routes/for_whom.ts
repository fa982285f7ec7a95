/** Whether a change is for all replicas, or for this one alone. */

import * as z from "zod";
import type { ChangeOptions } from "../../pool/keeping.ts";
import { readFields } from "../fields.ts";
import type { AdminContext } from "../guard.ts";

/** The query of a change of a pool. */
export const forWhom = z.object({
  local: z.enum(["true", "false"]).exactOptional()
    .describe("While the store of the replicas is away, changes this replica alone, until it is back"),
});

/** What the query of a change says; 400 if it can't be read. */
export function optionsOf(context: AdminContext): ChangeOptions {
  return { local: readFields(forWhom, context.get("query"), "query").local === "true" };
}
