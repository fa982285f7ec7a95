/**
 * The order of measuring: rounds, in each every scenario, in each every subject, so that a disturbance hits all alike.
 */
import type { Ground } from "./ground.ts";
import { Findings } from "./results.ts";
import type { Scenario } from "./scenario.ts";
import type { Subject } from "./subject.ts";
import { inWords } from "./table.ts";

/** What to measure, and how often. */
export interface Plan {
  readonly scenarios: readonly Scenario[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  /** Whether a first round does not count, so that code is compiled before it is measured. */
  readonly warmsUp: boolean;
}

/** Measures everything. Leaves out what a subject can't do. `say` gets the reasons and the progress. */
export async function measureRounds(plan: Plan, ground: Ground, say: (line: string) => void): Promise<Findings> {
  const findings = new Findings();
  const allRounds = plan.rounds + (plan.warmsUp ? 1 : 0);
  const takesPart = (scenario: Scenario) => ({ own }: Subject) => own || scenario.ownOnly !== true;
  const count = (scenario: Scenario) => allRounds * plan.subjects.filter(takesPart(scenario)).length;
  const total = plan.scenarios.reduce((sum, scenario) => sum + count(scenario), 0);
  let secondsLeft = plan.scenarios.reduce((sum, one) => sum + count(one) * one.seconds(ground.pace), 0);
  let done = 0;
  say(`${total} measurements, about ${duration(secondsLeft)}`);

  for (let round = plan.warmsUp ? 0 : 1; round <= plan.rounds; round++) {
    // The first subject of a round is the last of the next, so that its place does not influence the result.
    const subjects = round % 2 === 1 ? plan.subjects : plan.subjects.toReversed();
    for (const scenario of plan.scenarios) {
      for (const subject of subjects.filter(takesPart(scenario))) {
        done++;
        secondsLeft -= scenario.seconds(ground.pace);
        if (findings.isLeftOut(scenario, subject)) continue;
        try {
          const figures = await scenario.measure(subject, ground);
          if (round > 0) findings.add(scenario, subject, figures);
          const row = { ...subject, version: "", samples: [figures] };
          const place = `${done}/${total}, ${duration(secondsLeft)} left`;
          say(
            `[${place}] ${round === 0 ? "warm-up" : `round ${round}`}, ${scenario.name}, ${subject.title}: ${
              inWords(scenario.columns, row)
            }`,
          );
        } catch (error) {
          ground.signal.throwIfAborted();
          const reason = (error instanceof Error ? error.message : String(error)).replaceAll("\n", " ");
          findings.leaveOut(scenario, subject, reason);
          say(`${subject.title} is left out of ${scenario.name}: ${reason}`);
        }
      }
    }
  }
  return findings;
}

function duration(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
