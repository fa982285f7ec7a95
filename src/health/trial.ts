/** Checks a server before it is added to a pool. */

import type { BackendSpec, HealthConfig } from "../config/schema.ts";
import type { Clock } from "../net/clock.ts";
import { backendAddress } from "../pool/backend_address.ts";
import type { CheckClients } from "./check_clients.ts";
import type { CheckGate } from "./check_gate.ts";
import { Nap } from "./nap.ts";
import { Pace } from "./pace.ts";
import { type CheckedServer, type Probe, PROBES } from "./probes.ts";

/** How servers are checked. */
export interface TrialOptions {
  readonly config: HealthConfig;
  readonly clock: Clock;
  /** Limits the checks of all pools. */
  readonly gate: CheckGate;
  /** Shared by the checks of all pools. */
  readonly clients: CheckClients;
}

/**
 * Checks a server until a check passes; resolves with `null` then. When `stopped` fires first, resolves with the reason
 * of the last failure. The pauses between checks are those of a backend that is down.
 */
export async function tryOut(
  { url, tls }: BackendSpec,
  stopped: AbortSignal,
  { config, clock, gate, clients }: TrialOptions,
): Promise<string | null> {
  const probe = probeOf({ ...backendAddress(url), tls }, config, clients);
  const pace = new Pace();
  const nap = new Nap(clock);
  const wake = () => nap.end();
  let reason = "no check has ended";
  stopped.addEventListener("abort", wake);
  try {
    while (await gate.enter(stopped)) {
      const { ok, error } = await probe.check(stopped).finally(() => gate.leave());
      if (stopped.aborted) return reason;
      if (ok) return null;
      reason = error ?? reason;
      await nap.sleep(pace.takeQuick(config.intervalMs));
    }
    return reason;
  } finally {
    stopped.removeEventListener("abort", wake);
    probe.close();
  }
}

/** Without checks, a connection must be made. `health.port` belongs to the checks. */
function probeOf(server: CheckedServer, config: HealthConfig, clients: CheckClients): Probe {
  return config.type === "none"
    ? PROBES.tcp(server, { ...config, port: null }, clients)
    : PROBES[config.type](server, config, clients);
}
