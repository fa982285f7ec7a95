/** Asks DNS servers, one after the other, until one has an answer. */

import { messageOf } from "../../errors.ts";
import { SourceError } from "../source.ts";
import type { Question } from "./message.ts";
import { type Answer, MOST_ALIASES, readAnswer } from "./reading.ts";
import type { ResolverConfig } from "./resolv_conf.ts";
import { askServer, type DnsServer } from "./server.ts";

/** Which servers are asked, and how patiently. */
export type ResolverServers = Pick<ResolverConfig, "servers" | "timeoutMs" | "attempts">;

/**
 * What is known of a name, whatever aliases it has.
 *
 * @throws {SourceError} when no server answers, with what each of them did
 */
export async function resolve(question: Question, servers: ResolverServers, stop: AbortSignal): Promise<Answer> {
  const { type } = question;
  let { name } = question;
  let ttlS = Infinity;
  for (let alias = 0; alias <= MOST_ALIASES; alias++) {
    const answer = await askInTurn({ name, type }, servers, stop);
    ttlS = Math.min(ttlS, answer.ttlS ?? Infinity);
    if (answer.kind === "records") return { ...answer, ttlS };
    if (answer.kind === "none") return { ...answer, ttlS: ttlS === Infinity ? undefined : ttlS };
    ({ name } = answer);
  }
  throw new SourceError(`${type} ${question.name}: more than ${MOST_ALIASES} aliases`);
}

async function askInTurn(question: Question, { servers, timeoutMs, attempts }: ResolverServers, stop: AbortSignal) {
  const reasons = new Map<DnsServer, string>();
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (const server of servers) {
      if (stop.aborted) break;
      try {
        return readAnswer(await askServer(question, { server, timeoutMs, stop }), question);
      } catch (error) {
        if (!(error instanceof SourceError)) throw error;
        if (!stop.aborted || !reasons.has(server)) reasons.set(server, messageOf(error));
      }
    }
  }
  const told = Array.from(reasons, ([server, reason]) => `${nameOf(server)}: ${reason}`).join("; ");
  throw new SourceError(`${question.type} ${question.name}: ${told === "" ? "given up" : told}`);
}

function nameOf({ hostname, port }: DnsServer): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
