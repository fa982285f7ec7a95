/**
 * `deno task bench`: roundhouse beside other proxies, side by side on this machine.
 *
 *     deno task bench [--only NAME,...] [--subjects NAME,...] [--rounds 3] [--seconds 5] [--quick] [--json FILE] [--write]
 *     deno task bench --ref REV
 *
 * Each proxy has the same nginx backends and the same load. Each is measured once in every round, so that other
 * activity of the machine affects all alike. All traffic stays on 127.0.0.1. `scripts/bench/install.sh` installs the
 * other proxies. Programs that are not installed are left out.
 */
import { comparisonLines } from "./bench/comparison.ts";
import { measureDecisions } from "./bench/decisions.ts";
import { Ground, versionsOf } from "./bench/ground.ts";
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
  const results: Result[] = [];
  const leftOut: LeftOut[] = [];
  let other: SourceTree | undefined;
  if (options.scenarios.length > 0) {
    await using ground = await Ground.prepare(options.pace, signal);
    const { scenarios, rounds, ref } = options;
    other = ref === undefined ? undefined : await unpackRevision(ref, `${ground.directory}/revision`, signal);
    const subjects = withOther(options.subjects, other);
    const versions = await versionsOf(subjects, signal);
    const findings = await measureRounds({ scenarios, subjects, rounds, warmsUp: other !== undefined }, ground, say);
    results.push(...findings.results(scenarios, subjects, versions));
    leftOut.push(...findings.leftOut());
  }
  for (const { name, table } of options.decisions) {
    say(`${name}: about 10 s`);
    results.push(measureDecisions(table()));
  }
  if (results.length === 0) throw new Error("there was nothing to measure");

  console.log(`\n${[textTables(results), ...leftOutLines(leftOut)].join("\n\n")}`);
  if (other !== undefined) console.log(`\n${comparisonLines(results, other.label).join("\n")}`);
  const { rounds, pace } = options;
  if (options.json !== undefined) {
    await Deno.writeTextFile(
      options.json,
      toJson(results, leftOut, { at: at.toISOString(), ...machine, rounds, ...pace }),
    );
  }
  if (options.write) await writePage({ results, leftOut, machine, at, rounds, seconds: pace.seconds });
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
    say(error instanceof Error ? error.message : String(error));
    Deno.exit(interrupted.signal.aborted ? 130 : 1);
  }
}
