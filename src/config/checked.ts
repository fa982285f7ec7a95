/** What a health check asks for and which statuses pass, where the settings do not say. */
import type { HealthConfig } from "./schema.ts";

/** Without a path, any status but 5xx passes, because `/` may want a login or not exist. */
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
