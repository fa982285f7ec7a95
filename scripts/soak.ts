/**
 * A long run of the real program under load, on 127.0.0.1 only: clients and backends that misbehave by chance, hostile
 * clients that want to stop it, and beside them polite ones that must hardly notice.
 *
 *     deno task soak [--minutes 10 | --seconds N] [--engine fetch|wire] [--part NAME] [--seed N]
 *
 * Says PASS and ends with status 0 when every answer belonged to its request, no polite client waited a second, every
 * count is back at 0, memory stayed within bounds, no healthy backend was marked down, nothing went uncaught and the
 * program stopped cleanly; says what was wrong and ends with 1 if not.
 */
import { type Options, readOptions, USAGE } from "./soak/options.ts";
import { type Part, partsFor } from "./soak/parts.ts";
import { runPart } from "./soak/part.ts";

let options: Options;
let parts: readonly Part[];
try {
  options = readOptions(Deno.args);
  parts = partsFor(options);
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  Deno.exit(2);
}
const { durationMs, engine, seed } = options;
console.log(`engine ${engine}, ${durationMs / 1000} s, seed ${seed}`);
const wrongs: string[] = [];
for (const part of parts) {
  const ran = runPart(part, { engine, seed, durationMs: durationMs * part.share });
  wrongs.push(...await ran.catch((error) => [`${part.name}: ${error}`]));
}
for (const wrong of wrongs) console.log(`wrong: ${wrong}`);
console.log(wrongs.length === 0 ? "PASS" : "FAIL");
Deno.exit(wrongs.length === 0 ? 0 : 1);
