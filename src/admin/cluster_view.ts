/** How the admin API shows the cluster, as JSON. */

import type * as z from "zod";
import type { ClusterStatus, ReplicaStatus } from "../cluster/views.ts";
import type { DeepReadonly } from "../config/fields.ts";
import type { clusterAnswer, clusterSummaryAnswer, disagreementAnswer } from "./answers.ts";

/** What a replica said so long ago is not held against others. */
const SILENT_MS = 15_000;

/** The object of `GET /cluster`. */
export type ClusterView = NonNullable<DeepReadonly<z.output<typeof clusterAnswer>>>;

/** `cluster` in `GET /status`. */
export type ClusterSummary = NonNullable<DeepReadonly<z.output<typeof clusterSummaryAnswer>>>;

type Disagreement = DeepReadonly<z.output<typeof disagreementAnswer>>;

/** All that is known of the cluster. */
export function clusterView(status: ClusterStatus): ClusterView {
  const { id, up, lastSuccess, error, version, entries, local, replicas } = status;
  return {
    id,
    up,
    lastSuccess: lastSuccess?.toISOString() ?? null,
    error,
    version,
    changes: entries,
    local,
    replicas,
    disagreements: disagreements(replicas),
  };
}

/** The cluster in a few figures. */
export function clusterSummary({ up, lastSuccess, error, entries, local, replicas }: ClusterStatus): ClusterSummary {
  return {
    up,
    lastSuccess: lastSuccess?.toISOString() ?? null,
    error,
    replicas: replicas.length,
    changes: entries.length,
    local: local.length,
    disagreements: disagreements(replicas).length,
  };
}

/** The backends that some replicas hold to be up and others to be down. */
export function disagreements(replicas: readonly ReplicaStatus[]): Disagreement[] {
  const byBackend = new Map<string, { pool: string; backend: string; up: string[]; down: string[] }>();
  for (const { id, self, ageMs, health } of replicas) {
    if (!self && ageMs > SILENT_MS) continue;
    for (const [pool, backends] of Object.entries(health ?? {})) {
      for (const [backend, word] of Object.entries(backends)) {
        const key = `${pool} ${backend}`;
        let said = byBackend.get(key);
        if (said === undefined) byBackend.set(key, said = { pool, backend, up: [], down: [] });
        said[word].push(id);
      }
    }
  }
  return [...byBackend.values()].filter(({ up, down }) => up.length > 0 && down.length > 0);
}
