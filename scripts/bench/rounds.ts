/** The order of measuring: rounds, in each every scenario, in each every subject, so that a disturbance hits all alike. */
import { type Ground, versionOf } from "./ground.ts";
import { Findings, type Result } from "./results.ts";
import type { Scenario } from "./scenario.ts";
import type { Subject } from "./subject.ts";
import { inWords } from "./table.ts";

/** What to measure, and how often. */
export interface Plan {
  readonly scenarios: readonly Scenario[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
}

/** Measures all of it. What a subject can't do is left out, and `say` tells why, as it tells the progress. */
export async function measureRounds(plan: Plan, ground: Ground, say: (line: string) => void): Promise<Result[]> {
  const versions = new Map<Subject, string>();
  for (const subject of plan.subjects) versions.set(subject, await versionOf(subject, ground.signal));
  const findings = new Findings();
  const skipped = new Skipped(say);
  const total = plan.rounds * plan.scenarios.length * plan.subjects.length;
  let secondsLeft = plan.rounds * plan.subjects.length * sumOfSeconds(plan.scenarios, ground);
  let done = 0;
  say(`${total} measurements, about ${duration(secondsLeft)}`);

  for (let round = 1; round <= plan.rounds; round++) {
    for (const scenario of plan.scenarios) {
      for (const subject of plan.subjects) {
        done++;
        secondsLeft -= scenario.seconds(ground.pace);
        if (skipped.has(scenario, subject)) continue;
        try {
          const figures = await scenario.measure(subject, ground);
          findings.add(scenario, subject, figures);
          const row = { ...subject, version: "", samples: [figures] };
          const place = `${done}/${total}, ${duration(secondsLeft)} left`;
          say(`[${place}] round ${round}, ${scenario.name}, ${subject.title}: ${inWords(scenario.columns, row)}`);
        } catch (error) {
          ground.signal.throwIfAborted();
          skipped.add(scenario, subject, error instanceof Error ? error.message : String(error));
        }
      }
    }
  }
  return findings.results(plan.scenarios, plan.subjects, versions);
}

/** Who takes no further part in what. */
class Skipped {
  readonly #keys = new Set<string>();
  readonly #said = new Set<string>();
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  has(scenario: Scenario, subject: Subject): boolean {
    return this.#keys.has(`${scenario.name} ${subject.name}`);
  }

  /** Says so, though not the same of a subject for each scenario again. */
  add(scenario: Scenario, subject: Subject, reason: string): void {
    this.#keys.add(`${scenario.name} ${subject.name}`);
    const line = `${subject.title} skipped: ${reason}`;
    if (!this.#said.has(line)) this.#say(`${scenario.name}: ${line}`);
    this.#said.add(line);
  }
}

function sumOfSeconds(scenarios: readonly Scenario[], ground: Ground): number {
  return scenarios.reduce((sum, scenario) => sum + scenario.seconds(ground.pace), 0);
}

function duration(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
