/** The pure rule that turns the results of health checks into `up` and `down`. */

/** A backend's health as checks see it. */
export interface HealthState {
  readonly up: boolean;
  /** Checks in a row that contradict `up`: failures of a backend that is up, passes of one that is down. */
  readonly contradictions: number;
}

/** How many checks in a row it takes to change the state, each at least 1. */
export interface HealthLimits {
  /** Passed checks in a row that make a down backend up. */
  readonly healthyThreshold: number;
  /** Failed checks in a row that make an up backend down. */
  readonly unhealthyThreshold: number;
}

/** The initial state, before any check. */
export function freshState(up: boolean): HealthState {
  return { up, contradictions: 0 };
}

/** The state after one more check. A check that agrees with the state clears the count: only checks in a row count. */
export function observe(state: HealthState, passed: boolean, limits: HealthLimits): HealthState {
  if (passed === state.up) return freshState(state.up);
  const contradictions = state.contradictions + 1;
  const needed = state.up ? limits.unhealthyThreshold : limits.healthyThreshold;
  return contradictions >= needed ? freshState(passed) : { up: state.up, contradictions };
}
