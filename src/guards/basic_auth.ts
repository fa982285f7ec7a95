/** `auth.basic`: a user name and a password. */

import type { BasicAuthConfig } from "../config/schema/auth.ts";
import { authUnavailable } from "../failures.ts";
import type { Guard, GuardPlace } from "./guard.ts";

export function basicAuth(_config: BasicAuthConfig, _place: GuardPlace): Guard {
  const refusal = authUnavailable("passwords can't be checked yet");
  return { check: () => refusal, explain: () => ({ refusal, reason: refusal.message }) };
}
