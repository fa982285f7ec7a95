/**
 * `deno task bench`: roundhouse beside other proxies, side by side on this machine.
 *
 *     deno task bench [--only NAME,...] [--subjects NAME,...] [--rounds 3] [--seconds 3] [--quick] [--json FILE] [--write]
 *     deno task bench --ref REV
 *
 * Each proxy has the same nginx backends and the same load. Each is measured once in every round, so that other
 * activity of the machine affects all alike. All traffic stays on 127.0.0.1. `scripts/bench/install.sh` installs the
 * other proxies. Programs that are not installed are left out.
 */
import { comparisonLines } from "./bench/comparison.ts";
import { measureDecisions } from "./bench/decisions.ts";
import { Ground, versionsOf } from "./bench/ground.ts";
import { goalResults, goalsTable } from "./bench/goals.ts";
import { thisMachine } from "./bench/machine.ts";
import { type Options, parseOptions, usage } from "./bench/options.ts";
import { writePage } from "./bench/page.ts";
import { type LeftOut, type Result, toJson } from "./bench/results.ts";
import { unpackRevision } from "./bench/revision.ts";
import { measureRounds } from "./bench/rounds.ts";
import type { SourceTree, Subject } from "./bench/subject.ts";
import { leftOutLines, textTables } from "./bench/table.ts";

/** Measures as `options` say and prints the tables. All processes that it has started have ended when it settles. */
async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const at = new Date();
  const machine = thisMachine();
  const { results, leftOut, label } = await measureSubjects(options, signal);
  for (const { name, table } of options.decisions) {
    say(`${name}: about 10 s`);
    try {
      results.push(measureDecisions(table()));
    } catch (error) {
      leftOut.push({ title: "roundhouse", reason: reasonOf(error), scenarios: [name] });
    }
  }
  console.log(`\n${[textTables(results), ...leftOutLines(leftOut)].join("\n\n")}`);
  if (results.length === 0) throw new Error("there was nothing to measure");
  if (label !== undefined) console.log(`\n${comparisonLines(results, label).join("\n")}`);
  const goals = goalResults(results);
  if (goals.length > 0) console.log(`\n${goalsTable(goals)}`);
  const { rounds, pace } = options;
  if (options.json !== undefined) {
    await Deno.writeTextFile(
      options.json,
      toJson(results, leftOut, { at: at.toISOString(), ...machine, rounds, ...pace }),
    );
  }
  if (options.write) await writePage({ results, leftOut, machine, at, rounds, seconds: pace.seconds });
}

interface Measured {
  readonly results: Result[];
  readonly leftOut: LeftOut[];
  /** What tells the other revision, if there is one. */
  readonly label?: string;
}

async function measureSubjects(options: Options, signal: AbortSignal): Promise<Measured> {
  const { scenarios, rounds, ref, onlyUsual } = options;
  if (scenarios.length === 0) return { results: [], leftOut: [] };
  const ground = await Ground.prepare(options.pace, signal);
  try {
    const other = ref === undefined ? undefined : await unpackRevision(ref, `${ground.directory}/revision`, signal);
    const subjects = withOther(options.subjects, other);
    const versions = await versionsOf(subjects, signal);
    const findings = await measureRounds({ scenarios, subjects, onlyUsual, rounds }, ground, say);
    return {
      results: findings.results(scenarios, subjects, versions),
      leftOut: findings.leftOut(),
      ...other && { label: other.label },
    };
  } finally {
    // What was measured must not be lost because a file could not be removed.
    await ground[Symbol.asyncDispose]().catch((error) => say(`not all could be tidied up: ${reasonOf(error)}`));
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Compares each form of roundhouse with the same form of another revision. */
function withOther(subjects: readonly Subject[], other: SourceTree | undefined): readonly Subject[] {
  if (other === undefined) return subjects;
  return subjects.flatMap((subject) => subject.at === undefined ? [subject] : [subject, subject.at(other)]);
}

function say(message: string): void {
  console.error(`bench: ${message}`);
}

if (import.meta.main) {
  const options = parseOptions(Deno.args);
  if (options === "help") {
    console.log(usage);
    Deno.exit(0);
  }
  if (options instanceof Error) {
    say(options.message);
    Deno.exit(2);
  }

  // A proxy in the environment is not meant for 127.0.0.1, but `fetch` would use it.
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
    Deno.env.delete(name);
    Deno.env.delete(name.toLowerCase());
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error("interrupted")));
  }
  try {
    await bench(options, interrupted.signal);
    Deno.exit(0); // else the signal handlers would keep the process alive
  } catch (error) {
    say(reasonOf(error));
    Deno.exit(interrupted.signal.aborted ? 130 : 1);
  }
}
