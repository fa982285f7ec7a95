/** Process: hostile clients of one kind. Their own file sets their pace. */

import type { Attack } from "./hostile/attack.ts";
import { floodHttp2 } from "./hostile/http2_floods.ts";
import { idleOverTls } from "./hostile/idle_tls.ts";
import { askWithoutReading } from "./hostile/non_readers.ts";
import { connectAndReset } from "./hostile/resets.ts";
import { staySilent } from "./hostile/silence.ts";
import { downloadSmallChunks } from "./hostile/small_downloads.ts";
import { uploadEightByteChunks, uploadOneByteChunks } from "./hostile/small_uploads.ts";
import { leaveHeadsUnfinished } from "./hostile/unfinished_heads.ts";
import type { Doors } from "./doors.ts";
import { help } from "./helper_process.ts";

const ATTACKS = {
  "resets": connectAndReset,
  "silence": staySilent,
  "one-byte uploads": uploadOneByteChunks,
  "eight-byte uploads": uploadEightByteChunks,
  "small downloads": downloadSmallChunks,
  "unfinished heads": leaveHeadsUnfinished,
  "non-readers": askWithoutReading,
  "idle tls": idleOverTls,
  "http2 floods": floodHttp2,
} satisfies Record<string, Attack>;

export type HostileKind = keyof typeof ATTACKS;

export interface HostileOrder {
  readonly kind: HostileKind;
  readonly doors: Doors;
}

/** How often each action was done. */
export type HostileReport = Readonly<Record<string, number>>;

if (import.meta.main) {
  await help(({ kind, doors }: HostileOrder) => {
    const counts: Record<string, number> = {};
    const attack: Attack = ATTACKS[kind];
    attack(doors, (what) => counts[what] = (counts[what] ?? 0) + 1);
    return { begun: null, finish: (): HostileReport => counts };
  });
}
