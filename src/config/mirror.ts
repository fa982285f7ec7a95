/** What `mirror` means, in words, for `roundhouse check` and `roundhouse routes`. */
import type { MirrorConfig } from "./schema/mirror.ts";
import { formatSize } from "./units.ts";

/** @param given `undefined`: it is inherited */
export function describeMirror(given: MirrorConfig | null | undefined): string[] {
  if (given === undefined) return [];
  if (given === null) return ["no mirror"];
  const { pool, share, methods, maxBodyBytes } = given;
  const part = share === 1 ? "" : `${Math.round(share * 1e4) / 100}% of `;
  return [`mirrors ${part}${methods.join(", ")} to ${pool}, bodies of at most ${formatSize(maxBodyBytes)}`];
}
