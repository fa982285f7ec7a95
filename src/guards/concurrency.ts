/** `concurrency`: how many requests may be in flight at a time. */

import { tooManyAtOnce } from "../failures.ts";
import type { ConcurrencyCells } from "../memory/concurrency_cells.ts";
import type { Guard, GuardPlace, GuardVerdict, PassingRequest } from "./guard.ts";

/** Refuses requests while so many others, of all isolates, have not ended. A WebSocket counts for its life. */
export function concurrency(limit: number, { name, limits }: GuardPlace): Guard {
  return new ConcurrencyGuard(limit, limits.concurrency(name));
}

class ConcurrencyGuard implements Guard {
  readonly #limit: number;
  readonly #cells: ConcurrencyCells;

  constructor(limit: number, cells: ConcurrencyCells) {
    this.#limit = limit;
    this.#cells = cells;
  }

  check(request: PassingRequest) {
    if (!this.#cells.take(this.#limit)) return tooManyAtOnce();
    request.hold(this.#cells);
    return undefined;
  }

  explain(): GuardVerdict {
    const { current } = this.#cells;
    return {
      refusal: current < this.#limit ? undefined : tooManyAtOnce(),
      reason: `${current} of ${this.#limit} requests are in flight`,
    };
  }
}
