/**
 * The order of measuring: rounds, in each every scenario, in each every subject, so that a disturbance hits all alike.
 */
import type { Ground } from "./ground.ts";
import { Findings } from "./results.ts";
import type { Figures, Scenario } from "./scenario.ts";
import type { Subject } from "./subject.ts";
import { inWords } from "./table.ts";

/** What to measure, and how often. */
export interface Plan {
  readonly scenarios: readonly Scenario[];
  readonly subjects: readonly Subject[];
  /** Whether each scenario leaves out the subjects that do not usually take part. */
  readonly onlyUsual: boolean;
  readonly rounds: number;
}

/** How often a measurement that fails is tried in one round. A port may have been taken, or the machine was too slow. */
const tries = 2;

/** Measures everything. Leaves out what a subject can't do. `say` gets the reasons and the progress. */
export async function measureRounds(plan: Plan, ground: Ground, say: (line: string) => void): Promise<Findings> {
  const findings = new Findings();
  const all = orderOf(plan);
  const secondsFrom = (index: number) =>
    all.slice(index).reduce((sum, { scenario }) => sum + scenario.seconds(ground.pace), 0);
  say(`${all.length} measurements, about ${duration(secondsFrom(0))}`);
  for (const [index, { round, scenario, subject }] of all.entries()) {
    if (findings.isLeftOut(scenario, subject)) continue;
    try {
      const figures = await measure(scenario, subject, ground);
      findings.add(scenario, subject, figures);
      const row = { ...subject, version: "", samples: [figures] };
      const place = `${index + 1}/${all.length}, ${duration(secondsFrom(index + 1))} left`;
      say(`[${place}] round ${round}, ${scenario.name}, ${subject.title}: ${inWords(scenario.columns, row)}`);
    } catch (error) {
      ground.signal.throwIfAborted();
      const reason = (error instanceof Error ? error.message : String(error)).replaceAll("\n", " ");
      findings.leaveOut(scenario, subject, reason);
      say(`${subject.title} is left out of ${scenario.name}: ${reason}`);
    }
  }
  return findings;
}

interface Measurement {
  /** From 1. */
  readonly round: number;
  readonly scenario: Scenario;
  readonly subject: Subject;
}

function orderOf({ scenarios, subjects, onlyUsual, rounds }: Plan): Measurement[] {
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) => {
    // The first subject of a round is the last of the next, so that its place does not influence the result.
    const inTurn = round % 2 === 1 ? subjects : subjects.toReversed();
    return scenarios.filter(({ mostRounds = rounds }) => round <= mostRounds).flatMap((scenario) =>
      inTurn.filter((subject) => takesPart(subject, scenario, onlyUsual)).map((subject) => ({
        round,
        scenario,
        subject,
      }))
    );
  });
}

function takesPart({ name, own }: Subject, { ownOnly, usualSubjects }: Scenario, onlyUsual: boolean): boolean {
  if (ownOnly === true && !own) return false;
  const [form = ""] = name.split("@"); // without the revision
  return !onlyUsual || usualSubjects === undefined || usualSubjects.includes(form);
}

async function measure(scenario: Scenario, subject: Subject, ground: Ground): Promise<Figures> {
  for (let again = tries - 1;; again--) {
    try {
      return await scenario.measure(subject, ground);
    } catch (error) {
      if (again === 0 || ground.signal.aborted) throw error;
    }
  }
}

function duration(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
