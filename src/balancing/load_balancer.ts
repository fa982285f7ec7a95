/** Picks backends. Keeps a strategy that was built for the backends that are eligible now. */

import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { FULL_RAMP } from "../memory/setting_cells.ts";
import { greatestCommonDivisor } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext, StrategyFactory } from "./strategy.ts";

/**
 * If the order of turns would be longer than this, slow start rounds weights. It does not make the order ten times as
 * long.
 */
const LONGEST_EXACT_SCHEDULE = 16_384;

/** The balancer of one isolate. Looks at the pool again only when its epoch or its list of backends has changed. */
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

  /** The eligible backends, with or without room. */
  get eligible(): readonly Backend[] {
    this.#current();
    return this.#eligible;
  }

  /**
   * If no backend is eligible: when the last one was marked down, in milliseconds since the Unix epoch. Backends that
   * an operator took out don't count. Otherwise, or if none was marked down, 0.
   */
  get lostAt(): number {
    this.#current();
    return this.#lostAt;
  }

  /** Returns the backend whose turn it is; `undefined`: the request accepts none of the eligible backends. */
  pick(request: PickRequest): Backend | undefined {
    return this.#current()?.pick(request);
  }

  #current(): Strategy | undefined {
    // The epoch is read before the pool. So the next pick notices a change that happens in between.
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

/**
 * The eligible backends: the selectable ones that are not backups, or the selectable backups if there are no others.
 */
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

/** The eligible backends, with the smallest whole weights that have the same ratios. */
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
