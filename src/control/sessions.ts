/** The table of sessions by client address, over reloads. */

import type { Config } from "../config/schema.ts";
import { SessionTable } from "../memory/session_table.ts";

/** Returns the table that there was, or a new one where sessions last for another time now; `undefined`: none is needed. */
export function sessionsFor(
  { sticky }: Config,
  previous: { readonly before: Config; readonly table: SessionTable | undefined } | undefined,
): SessionTable | undefined {
  if (sticky?.by !== "ip") return undefined;
  const kept = previous?.before.sticky?.timeoutMs === sticky.timeoutMs ? previous.table : undefined;
  return kept ?? SessionTable.allocate(sticky.timeoutMs);
}
