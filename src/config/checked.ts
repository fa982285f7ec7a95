/** What a health check asks for and what passes, where settings leave that to others. */
import type { HealthConfig } from "./schema.ts";

/** Where nobody named a page, whoever answers with anything but 5xx lives: `/` may well want a login, or not be there. */
const ANY_ANSWER = [{ from: 200, to: 499 }] as const;

const GOOD_ANSWER = [{ from: 200, to: 399 }] as const;

/** The path that is asked for. */
export function checkedPath({ path }: Pick<HealthConfig, "path">): string {
  return path ?? "/";
}

/** The statuses that pass. */
export function passingStatuses({ path, status }: Pick<HealthConfig, "path" | "status">) {
  return status ?? (path === null ? ANY_ANSWER : GOOD_ANSWER);
}
