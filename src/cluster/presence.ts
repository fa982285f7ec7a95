/** The replicas that this one has heard of. */

import * as z from "zod";
import type { Word } from "./store.ts";
import type { HealthView, ReplicaStatus } from "./views.ts";

/** What a replica says of itself. */
export interface Said {
  /** Its version of roundhouse. */
  readonly version: string;
  readonly admin: string;
  /** The counter of the document that it has. */
  readonly changes: number;
  /** Changes with what it thinks of the backends. */
  readonly view: string;
}

const said = z.object({
  version: z.string().max(100),
  admin: z.string().max(300),
  changes: z.int().min(0),
  view: z.string().max(20),
});

const viewSchema = z.record(z.string(), z.record(z.string(), z.enum(["up", "down"])));

interface Replica {
  readonly said: Said;
  /** When its last word arrived at the store, in milliseconds of `performance.now`. */
  readonly heardAtMs: number;
  /** What it thinks of the backends, and the mark under which it said so. */
  readonly health: { readonly mark: string; readonly view: HealthView | null } | undefined;
}

/** Keeps what the last heartbeats told. */
export class Presence {
  readonly #self: string;
  #replicas: ReadonlyMap<string, Replica> = new Map();

  /** @param self the id of this replica */
  constructor(self: string) {
    this.#self = self;
  }

  /** Takes the words of a heartbeat. What no roundhouse says is left out. */
  heard(words: readonly Word[]): void {
    const replicas = new Map<string, Replica>();
    for (const { id, ageMs, said: text } of words) {
      const read = parsed(said, text);
      if (read === undefined) continue;
      const before = this.#replicas.get(id)?.health;
      replicas.set(id, { said: read, heardAtMs: performance.now() - ageMs, health: before });
    }
    this.#replicas = replicas;
  }

  /** How many replicas the last heartbeat told of. */
  get size(): number {
    return this.#replicas.size;
  }

  /** A replica whose view of the backends is not known, or no longer. */
  nextUnknown(): string | undefined {
    for (const [id, { said, health }] of this.#replicas) {
      if (id !== this.#self && said.view !== "" && health?.mark !== said.view) return id;
    }
    return undefined;
  }

  /** Takes what a replica has written of the backends. */
  learn(id: string, text: string): void {
    const replica = this.#replicas.get(id);
    if (replica === undefined || text === "") return; // it is gone, or has not written it yet
    const health = { mark: replica.said.view, view: parsed(viewSchema, text) ?? null };
    this.#replicas = new Map([...this.#replicas, [id, { ...replica, health }]]);
  }

  /** All replicas by id. `own`: what this one thinks of the backends. */
  statuses(own: HealthView | null): ReplicaStatus[] {
    const now = performance.now();
    return Array.from(this.#replicas, ([id, { said, heardAtMs, health }]) => {
      const self = id === this.#self;
      const { version, admin, changes } = said;
      const ageMs = Math.round(now - heardAtMs);
      return { id, self, version, admin, changes, ageMs, health: self ? own : health?.view ?? null };
    }).sort((one, other) => one.id < other.id ? -1 : 1);
  }
}

function parsed<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
