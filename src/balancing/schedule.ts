/** The smooth weighted order of turns, computed once for a set of weights. */

/**
 * With more different weights than this, the order is made in two levels, because the cost is length × different
 * weights.
 */
const MOST_WEIGHTS_AT_ONCE = 32;

/**
 * Returns indices into `weights` in nginx's smooth weighted order. Each index appears as often as its weight divided by
 * the greatest common divisor, spread as evenly as possible. Weights 5,1,1 give 0 0 1 0 2 0 0.
 *
 * At each step, all members gain their weight as credit. The one with the most credit (the first of equals) is chosen
 * and pays the total. Members of equal weight take turns under this rule, so only the next member of each weight is
 * compared. The work is the length of the order times the number of *different* weights. Sets with very many different
 * weights are split into parts: there is a smooth order of the parts, and a smooth order within each part. The counts
 * are as exact, and it takes milliseconds instead of hundreds of milliseconds.
 *
 * @param weights whole numbers from 1
 */
export function smoothSchedule(weights: readonly number[]): Uint16Array {
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  const reduced = weights.map((weight) => weight / divisor);
  const different = new Set(reduced).size;
  return different > MOST_WEIGHTS_AT_ONCE ? twoLevelSchedule(reduced, different) : directSchedule(reduced);
}

function twoLevelSchedule(weights: readonly number[], different: number): Uint16Array {
  const partCount = Math.ceil(Math.sqrt(different));
  const byWeight = weights.map((_, index) => index).sort((a, b) => (weights[a] ?? 0) - (weights[b] ?? 0));
  const partSize = Math.ceil(byWeight.length / partCount);
  const parts = Array.from({ length: partCount }, (_, part) => byWeight.slice(part * partSize, (part + 1) * partSize))
    .filter((members) => members.length > 0);
  const partWeights = parts.map((members) => members.map((index) => weights[index] ?? 0));
  const order = smoothSchedule(partWeights.map(sum));
  const orders = partWeights.map(smoothSchedule);

  // The schedule has whole cycles of all orders. The order of the parts may be shorter, by a common divisor of their
  // weights.
  const schedule = new Uint16Array(sum(weights));
  const taken = new Uint32Array(parts.length);
  for (let step = 0; step < schedule.length; step++) {
    const part = order[step % order.length] ?? 0;
    const within = orders[part] ?? order;
    const turn = taken[part] ?? 0;
    taken[part] = turn + 1;
    schedule[step] = parts[part]?.[within[turn % within.length] ?? 0] ?? 0;
  }
  return schedule;
}

function directSchedule(weights: readonly number[]): Uint16Array {
  const groups = groupByWeight(weights);
  const gain = Int32Array.from(groups, (members) => weights[members[0] ?? 0] ?? 0);
  const credit = new Int32Array(groups.length);
  const next = new Uint16Array(groups.length); // the next member of each group
  const schedule = new Uint16Array(sum(weights));

  const head = (group: number) => groups[group]?.[next[group] ?? 0] ?? 0;
  for (let step = 0; step < schedule.length; step++) {
    let chosen = 0;
    let most = -Infinity;
    for (let group = 0; group < credit.length; group++) {
      // Both arrays are as long as `groups`. `?? 0` is for the compiler and costs nothing.
      const value = (credit[group] ?? 0) + (gain[group] ?? 0);
      credit[group] = value;
      if (value < most || (value === most && head(group) > head(chosen))) continue;
      most = value;
      chosen = group;
    }
    schedule[step] = head(chosen);
    next[chosen] = (next[chosen] ?? 0) + 1;
    if (next[chosen] === groups[chosen]?.length) {
      next[chosen] = 0;
      credit[chosen] = most - schedule.length;
    }
  }
  return schedule;
}

/** Groups the indices by weight, in ascending order. */
function groupByWeight(weights: readonly number[]): readonly (readonly number[])[] {
  const groups = new Map<number, number[]>();
  weights.forEach((weight, index) => {
    const group = groups.get(weight);
    if (group !== undefined) group.push(index);
    else groups.set(weight, [index]);
  });
  return [...groups.values()];
}

function sum(weights: readonly number[]): number {
  return weights.reduce((total, weight) => total + weight, 0);
}

/** The greatest common divisor of two whole numbers; with 0, it is the other number. */
export function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
