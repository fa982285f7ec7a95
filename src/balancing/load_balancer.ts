/** Whose turn it is: keeps a strategy built for the backends that are eligible now. */

import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { FULL_RAMP } from "../memory/setting_cells.ts";
import { greatestCommonDivisor } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext, StrategyFactory } from "./strategy.ts";

/** With a longer order than this, slow start rounds weights instead of multiplying the order's length by ten. */
const LONGEST_EXACT_SCHEDULE = 16_384;

/** One isolate's balancer. Looks at the pool again only when its epoch or its list of backends has changed. */
export class LoadBalancer {
  readonly #pool: ServerPool;
  readonly #factory: StrategyFactory;
  readonly #context: StrategyContext;
  #epoch: number | undefined;
  #backends: readonly Backend[] | undefined;
  #strategy: Strategy | undefined;
  #eligible: readonly Backend[] = [];
  #lostAt = 0;

  constructor(
    pool: ServerPool,
    factory: StrategyFactory,
    context: StrategyContext = { takeTurn: () => pool.shared.cells.takeTurn(), random: Math.random },
  ) {
    this.#pool = pool;
    this.#factory = factory;
    this.#context = context;
  }

  /** The backends that may be picked, full or not. */
  get eligible(): readonly Backend[] {
    this.#current();
    return this.#eligible;
  }

  /**
   * When the last backend was marked down, in milliseconds since the Unix epoch, while none is eligible; 0: never. Those
   * that an operator has taken out don't count.
   */
  get lostAt(): number {
    this.#current();
    return this.#lostAt;
  }

  /** Returns the backend whose turn it is, or `undefined` when the request accepts none of the eligible ones. */
  pick(request: PickRequest): Backend | undefined {
    return this.#current()?.pick(request);
  }

  #current(): Strategy | undefined {
    // The epoch is read before the pool: a change in between is seen at the next pick.
    const epoch = this.#pool.shared.cells.epoch;
    const { backends } = this.#pool;
    if (epoch !== this.#epoch || backends !== this.#backends) {
      const candidates = eligibleCandidates(backends);
      this.#eligible = candidates.map((candidate) => candidate.backend);
      this.#lostAt = candidates.length === 0 ? latestLoss(backends) : 0;
      this.#strategy = candidates.length === 0 ? undefined : this.#factory(candidates, this.#context);
      this.#epoch = epoch;
      this.#backends = backends;
    }
    return this.#strategy;
  }
}

/** The eligible backends: the selectable ones that are no backups, or the backups when no other is. */
export function eligibleBackends(backends: readonly Backend[]): readonly Backend[] {
  const selectable = backends.filter((backend) => backend.selectable);
  const primaries = selectable.filter((backend) => !backend.backup);
  return primaries.length > 0 ? primaries : selectable;
}

function latestLoss(backends: readonly Backend[]): number {
  let latest = 0;
  for (const { alive, state, weight, downSince } of backends) {
    if (!alive && state === "active" && weight > 0) latest = Math.max(latest, downSince);
  }
  return latest;
}

/** With the smallest weights that have the right ratio. */
function eligibleCandidates(backends: readonly Backend[]): readonly Candidate[] {
  const eligible = eligibleBackends(backends);
  let weights = eligible.map((backend) => backend.effectiveWeight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total > LONGEST_EXACT_SCHEDULE * FULL_RAMP) {
    weights = weights.map((weight) => Math.max(1, Math.round(weight / FULL_RAMP)));
  }
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  return eligible.map((backend, index) => ({ backend, weight: (weights[index] ?? 0) / divisor }));
}
