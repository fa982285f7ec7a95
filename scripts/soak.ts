/**
 * A long run of the real program under load, on 127.0.0.1 only. There are clients and backends that misbehave at
 * random, hostile clients that try to stop the program, and polite clients that must hardly notice it.
 *
 * deno task soak [--minutes 10 | --seconds N] [--engine fetch|wire] [--part NAME] [--seed N]
 *
 * The parts "moving" and "upgrading" run only when they are named. The first needs dnsmasq, etcd and redis-server, the
 * second engine wire.
 *
 * Prints PASS and ends with status 0 if all of these hold: every answer belonged to its request, no polite client
 * waited for a second, all counts are 0 again, memory stayed within its limits, no healthy backend was marked down,
 * there were no uncaught errors, and the program stopped with status 0. Otherwise prints what was wrong and ends with
 * status 1.
 */
import { type Options, readOptions, USAGE } from "./soak/options.ts";
import { type Part, partsFor } from "./soak/parts.ts";
import { runPart } from "./soak/part.ts";
import { MOVING, runMoving } from "./soak/moving.ts";
import { runUpgrading, UPGRADING } from "./soak/upgrading.ts";

let options: Options;
let parts: readonly Part[];
try {
  options = readOptions(Deno.args);
  parts = options.part === MOVING || options.part === UPGRADING ? [] : partsFor(options);
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  Deno.exit(2);
}
const { durationMs, engine, seed } = options;
console.log(`engine ${engine}, ${durationMs / 1000} s, seed ${seed}`);
const wrongs: string[] = [];
if (options.part === MOVING) wrongs.push(...await runMoving(options));
if (options.part === UPGRADING) wrongs.push(...await runUpgrading(options));
for (const part of parts) {
  const ran = runPart(part, { engine, seed, durationMs: durationMs * part.share });
  wrongs.push(...await ran.catch((error) => [`${part.name}: ${error}`]));
}
for (const wrong of wrongs) console.log(`wrong: ${wrong}`);
console.log(wrongs.length === 0 ? "PASS" : "FAIL");
Deno.exit(wrongs.length === 0 ? 0 : 1);
