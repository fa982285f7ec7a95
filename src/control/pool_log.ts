/** The log's lines for changes of the pool. */

import type { Log } from "../log.ts";
import type { PoolEvent } from "../pool/server_pool.ts";

const EVENT_MESSAGES = {
  added: "backend added",
  removed: "backend removed",
  up: "backend up",
  down: "backend down",
  changed: "backend changed",
  active: "backend enabled",
  draining: "backend draining",
  disabled: "backend disabled",
} as const satisfies Record<PoolEvent["type"], string>;

export function logPoolEvent(log: Log, { type, backend, reason }: PoolEvent): void {
  log.info(EVENT_MESSAGES[type], { backend: backend.url, reason });
}
