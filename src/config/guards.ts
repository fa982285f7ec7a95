/** What guards mean, in words, for `roundhouse check` and `roundhouse routes`. */
import { GUARD_NAMES, type GuardName } from "../errors.ts";
import type { Config } from "./schema.ts";
import type { AuthConfig } from "./schema/auth.ts";
import { formatBy } from "./schema/guards.ts";
import { withoutSecretParameters } from "./secret_parameters.ts";
import { formatDuration } from "./units.ts";

type Settings = Pick<Config, GuardName>;

const WORDS: { readonly [Name in GuardName]: (setting: NonNullable<Settings[Name]>) => string } = {
  deny: (ranges) => `denies ${counted(ranges)}`,
  allow: (ranges) => `allows ${counted(ranges)} only`,
  rateLimit: ({ requests, perMs, burst, by, enforce, scope }) => {
    const most = `at most ${requests} requests per ${formatDuration(perMs)} by ${formatBy(by)}`;
    const where = scope === "cluster" ? " over all replicas" : "";
    return `${most}${where}${burst === null ? "" : `, ${burst} at once`}${enforce ? "" : ", only counted"}`;
  },
  concurrency: (limit) => `at most ${limit} at a time`,
  auth: describeAuth,
};

/** Words for each guard that is given: here, not where it is inherited from. */
export function describeGuards(given: { readonly [Name in GuardName]?: Settings[Name] | undefined }): string[] {
  return GUARD_NAMES.flatMap((name) => words(name, given));
}

function words<Name extends GuardName>(name: Name, given: { readonly [Key in Name]?: Settings[Key] | undefined }) {
  const setting: Settings[Name] | undefined = given[name];
  if (setting === undefined) return [];
  return setting === null ? [`no ${name}`] : [WORDS[name](setting)];
}

function describeAuth(auth: AuthConfig): string {
  if (auth.kind === "basic") {
    const users = Object.keys(auth.users).length;
    return `asks for a password of ${users} ${users === 1 ? "user" : "users"}`;
  }
  const { forward, timeoutMs } = auth;
  const whom = typeof forward === "string" ? forward : `the pool ${forward.pool} at ${forward.path}`;
  return `asks ${withoutSecretParameters(whom)} for at most ${formatDuration(timeoutMs)}`;
}

function counted(ranges: readonly string[]): string {
  return ranges.length === 1 ? String(ranges[0]) : `${ranges.length} ranges`;
}
