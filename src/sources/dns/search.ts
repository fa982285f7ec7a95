/** Which names are tried, one after the other, for a name as it was written. */

import { isHostName } from "../../config/discover/host_name.ts";
import { shortest } from "./known_names.ts";
import type { ResolverConfig } from "./resolv_conf.ts";

/** The names without the dot at their end, in order, each once. A name that ends in a dot is tried as it is. */
export function namesToTry(written: string, { search, ndots }: Pick<ResolverConfig, "search" | "ndots">): string[] {
  const name = written.replace(/\.$/, "");
  if (name !== written) return [name];
  const longer = search.map((domain) => `${name}.${domain}`).filter(isHostName);
  const dots = name.split(".").length - 1;
  return [...new Set(dots >= ndots ? [name, ...longer] : [...longer, name])];
}

/** What can be said of a name. */
interface Found {
  readonly items: readonly unknown[];
  readonly noSuchName: boolean;
  readonly ttlS: number | undefined;
  readonly problem: string | null;
}

/**
 * The first of these names that exists. One that nobody could say anything about is passed over, as other resolvers
 * do, but then "no such name" is no answer.
 */
export async function firstThatExists<Known extends Found>(
  names: readonly string[],
  lookUp: (name: string) => Promise<Known>,
): Promise<Known> {
  let failed: Known | undefined;
  let missing: Known | undefined;
  for (const name of names) {
    const found = await lookUp(name);
    if (found.items.length > 0) return found;
    if (found.problem !== null) failed ??= found;
    else if (!found.noSuchName) return failed ?? found;
    else missing = { ...found, ttlS: shortest([found.ttlS, missing?.ttlS]) };
  }
  const last = failed ?? missing;
  if (last === undefined) throw new RangeError("want at least one name");
  return last;
}
