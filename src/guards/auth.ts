/** `auth`: the two ways in which clients prove who they are. */

import type { AuthConfig } from "../config/schema/auth.ts";
import { basicAuth } from "./basic_auth.ts";
import { forwardAuth } from "./forward_auth.ts";
import type { Guard, GuardPlace } from "./guard.ts";

export function auth(config: AuthConfig, place: GuardPlace): Guard {
  return config.kind === "basic" ? basicAuth(config, place) : forwardAuth(config, place);
}
