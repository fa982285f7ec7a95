/** Invented objects of `GET /status` for tests. */

import type { ClusterStatus, HealthView, ReplicaStatus } from "../../src/cluster/views.ts";
import type { CertificateState } from "../../src/tls/store.ts";
import type { BackendStatus, Status } from "../../src/admin/dashboard/status.d.ts";

/** An up and active backend without traffic, with the given changes. Its URL comes from its id. */
export function backendStatus(id: string, differs: Partial<BackendStatus> = {}): BackendStatus {
  return {
    id,
    url: `http://${id}`,
    alive: true,
    state: "active",
    weight: 1,
    backup: false,
    currentConnections: 0,
    maxConnections: null,
    totalRequests: 0,
    totalFailures: 0,
    responses: { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 },
    lastMinute: { requests: 0, failures: 0, answers: 0, "4xx": 0, "5xx": 0, perSecond: 0 },
    latencyMs: { ewma: null, p50: null, p95: null, p99: null },
    lastCheck: null,
    lastChange: null,
    ...differs,
  };
}

/** A pool with these backends. */
export function poolStatus(backends: readonly BackendStatus[]): Status["pools"][string] {
  const source = { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null } as const;
  return { strategy: "round-robin", backends: [...backends], source };
}

/** The status of a process `uptimeSeconds` after its start; `requests` that are not named are 0. */
export function status(
  uptimeSeconds: number,
  backends: readonly BackendStatus[],
  { requests, ...differs }: Partial<Omit<Status, "requests">> & { requests?: Partial<Status["requests"]> } = {},
): Status {
  return {
    version: "1.2.3",
    startedAt: "2026-01-01T00:00:00.000Z",
    uptimeSeconds,
    strategy: "round-robin",
    engine: "fetch",
    workers: 1,
    requests: { total: 0, active: 0, failed: 0, retried: 0, queued: 0, ...requests },
    backends: [...backends],
    pools: { default: poolStatus(backends) },
    cluster: null,
    certificates: [],
    ...differs,
  };
}

/** A certificate from files that ends in 2027. */
export function certificateState(name: string, differs: Partial<CertificateState> = {}): CertificateState {
  const [begins, expires] = [new Date("2026-01-01T00:00:00Z"), new Date("2027-01-01T00:00:00Z")];
  return { names: [name], begins, expires, source: "files", error: undefined, endsSoon: false, ...differs };
}

/** A replica that has just spoken. The admin API of `one` listens at `one:8081`. */
export function replicaStatus(id: string, health: HealthView, differs: Partial<ReplicaStatus> = {}): ReplicaStatus {
  return { id, self: false, version: "1.2.3", admin: `${id}:8081`, changes: 0, ageMs: 500, health, ...differs };
}

/** A cluster whose store is there, with nothing in it. */
export function clusterStatus(differs: Partial<ClusterStatus> = {}): ClusterStatus {
  return {
    id: "one",
    up: true,
    lastSuccess: new Date("2026-01-01T00:00:00.000Z"),
    error: null,
    version: 0,
    entries: [],
    local: [],
    replicas: [],
    ...differs,
  };
}
