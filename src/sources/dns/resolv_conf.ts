/** What `/etc/resolv.conf` says: which servers are asked, and what is tried for a short name. */

import ipaddr from "ipaddr.js";
import type { DnsServer } from "./server.ts";

/** How names are looked up on this machine. */
export interface ResolverConfig {
  /** At least one. */
  readonly servers: readonly DnsServer[];
  /** Domains that are tried after a short name. */
  readonly search: readonly string[];
  /** A name with at least as many dots is tried as it is first. */
  readonly ndots: number;
  /** For one question to one server. */
  readonly timeoutMs: number;
  /** How often each server is asked. */
  readonly attempts: number;
}

export const DNS_PORT = 53;

/** What counts where the file says nothing. Two seconds, not the usual five: nobody else would ask meanwhile. */
export const RESOLVER_DEFAULTS: ResolverConfig = {
  servers: [{ hostname: "127.0.0.1", port: DNS_PORT }],
  search: [],
  ndots: 1,
  timeoutMs: 2000,
  attempts: 2,
};

// The limits of glibc, but for the number of servers, of which it takes three.
const MOST_SERVERS = 8;
const MOST_DOMAINS = 32;
const MOST_DOTS = 15;
const MOST_SECONDS = 30;
const MOST_ATTEMPTS = 5;

/** Reads the file as glibc does (resolv.conf(5)). Lines that say nothing it knows are passed over. */
export function readResolvConf(text: string): ResolverConfig {
  const servers: DnsServer[] = [];
  let search: readonly string[] = RESOLVER_DEFAULTS.search;
  const options = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [key, ...words] = line.split(/[ \t\r]+/);
    if (key === "nameserver") {
      const [hostname = ""] = words;
      if (servers.length < MOST_SERVERS && ipaddr.isValid(hostname)) servers.push({ hostname, port: DNS_PORT });
    } else if (key === "search") search = domains(words);
    else if (key === "domain") search = domains(words.slice(0, 1));
    else if (key === "options") { for (const word of words) readOption(word, options); }
  }
  return {
    servers: servers.length === 0 ? RESOLVER_DEFAULTS.servers : servers,
    search,
    ndots: Math.min(options.get("ndots") ?? RESOLVER_DEFAULTS.ndots, MOST_DOTS),
    timeoutMs: 1000 * within(options.get("timeout") ?? RESOLVER_DEFAULTS.timeoutMs / 1000, MOST_SECONDS),
    attempts: within(options.get("attempts") ?? RESOLVER_DEFAULTS.attempts, MOST_ATTEMPTS),
  };
}

function domains(words: readonly string[]): string[] {
  return words.map((word) => word.replace(/\.$/, "").toLowerCase()).filter((word) => word !== "").slice(
    0,
    MOST_DOMAINS,
  );
}

function readOption(word: string, options: Map<string, number>): void {
  const [, name = "", digits = ""] = /^(ndots|timeout|attempts):(\d{1,9})$/.exec(word) ?? [];
  if (name !== "") options.set(name, Number(digits));
}

function within(value: number, most: number): number {
  return Math.min(Math.max(value, 1), most);
}
