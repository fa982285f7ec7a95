/** `auth.basic`: a user name and a password (RFC 7617). */

import { parsePasswordHash, type PasswordHash } from "../config/password_hash.ts";
import type { BasicAuthConfig } from "../config/schema/auth.ts";
import { digestOf, keyedDigestOf } from "../digest.ts";
import { authUnavailable, unauthorized } from "../failures.ts";
import { type BasicCredentials, parseBasicCredentials } from "./basic_credentials.ts";
import { clientNetwork } from "./client_network.ts";
import type { Decision, Guard, GuardedRequest, GuardPlace, GuardVerdict, PassingRequest } from "./guard.ts";
import { PasswordChecks, type PasswordQuestion } from "./passwords/password_checks.ts";

const NO_CREDENTIALS = "no user name and password, or not in the one form that is read";
const WRONG_CREDENTIALS = "the user name or the password is wrong";

/** Refuses requests without the name and the password of a user. All guards of an isolate share what checks them. */
export function basicAuth(config: BasicAuthConfig, { holdings }: Pick<GuardPlace, "holdings">): Guard {
  return new BasicAuth(config, holdings.obtain(PasswordChecks, {}));
}

interface User {
  /** As the configuration writes the hash. */
  readonly written: string;
  readonly hash: PasswordHash;
}

class BasicAuth implements Guard {
  readonly owned = ["authorization"];
  readonly #users: ReadonlyMap<string, User>;
  /** The same users. A stranger gets one of them to take the time of. */
  readonly #list: readonly User[];
  /** Chooses it. The same in all isolates, and known to nobody who does not know the hashes. */
  readonly #standInKey: Uint8Array;
  readonly #challenge: string;
  readonly #checks: PasswordChecks;

  constructor({ users, realm }: BasicAuthConfig, checks: PasswordChecks) {
    this.#users = new Map(Object.entries(users).map(([name, written]) => [name, readUser(written)]));
    this.#list = [...this.#users.values()];
    this.#standInKey = new Uint8Array(digestOf(this.#list.map(({ written }) => written).join("\n")).buffer);
    this.#challenge = `Basic realm="${realm}", charset="UTF-8"`; // the setting takes no quotes and no backslashes
    this.#checks = checks;
  }

  check(request: PassingRequest): Decision | Promise<Decision> {
    const credentials = credentialsOf(request);
    if (credentials === undefined) return this.#refuse(request, NO_CREDENTIALS);
    const { user: name, password, text } = credentials;
    const known = this.#users.get(name);
    const user = known ?? this.#standIn(name);
    if (user === undefined) return this.#refuse(request, WRONG_CREDENTIALS);
    const key = this.#checks.key(user.written, text);
    if (known !== undefined && this.#checks.wereRight(key)) return undefined;
    return this.#ask(request, {
      key,
      password,
      hash: user.hash,
      isKnown: known !== undefined,
      client: clientNetwork(request.client),
    });
  }

  explain(request: GuardedRequest): GuardVerdict {
    const name = credentialsOf(request)?.user;
    if (name === undefined) return { refusal: unauthorized(NO_CREDENTIALS), reason: NO_CREDENTIALS };
    const user = JSON.stringify(name);
    if (this.#users.has(name)) return { refusal: undefined, reason: `the password of ${user} would be checked` };
    return { refusal: unauthorized(WRONG_CREDENTIALS), reason: `there is no user ${user}` };
  }

  async #ask(request: PassingRequest, question: PasswordQuestion): Promise<Decision> {
    const outcome = await this.#checks.check(question, request.signal);
    switch (outcome) {
      case "right":
        return undefined;
      case "wrong":
        return this.#refuse(request, WRONG_CREDENTIALS);
      case "busy":
        return authUnavailable("too many passwords are being checked");
      case "left":
        return authUnavailable("the client did not wait until its password was checked");
      default:
        return authUnavailable(`the password could not be checked: ${outcome.message}`, outcome);
    }
  }

  #refuse(request: PassingRequest, reason: string): Decision {
    request.tell(["www-authenticate", this.#challenge]);
    return unauthorized(reason);
  }

  /**
   * One user in place of a stranger: always the same one for a name, in whichever isolate, so that no time tells who is a
   * user.
   */
  #standIn(name: string): User | undefined {
    const { buffer } = keyedDigestOf(this.#standInKey, name);
    return this.#list[new DataView(buffer).getUint32(0) % this.#list.length];
  }
}

function credentialsOf(request: GuardedRequest): BasicCredentials | undefined {
  const value = request.believed("authorization"); // several lines are joined by a comma, which is in no credentials
  return value === undefined ? undefined : parseBasicCredentials(value);
}

function readUser(written: string): User {
  const hash = parsePasswordHash(written);
  if (hash.kind === "none") throw new Error(`want ${hash.want}`); // the configuration was checked
  return { written, hash };
}
