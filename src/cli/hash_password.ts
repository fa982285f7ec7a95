/** `roundhouse hash-password`: reads a password and prints its hash for the configuration. */

import { makeScryptHash } from "../guards/passwords/scrypt.ts";
import { HiddenInput } from "./hidden_input.ts";
import { writeOut } from "./output.ts";

/** More than anybody types. A request can bring more. */
const MOST_BYTES = 512;

/** The password can't be used. The message is one line for the user. */
class PasswordError extends Error {
  override readonly name = "PasswordError";
}

/**
 * Asks twice on a terminal, and does not show what is typed. Else reads standard input to its end. Only the hash goes to
 * standard output. Returns the exit status.
 *
 * @param stopped resolves if the user wants to stop
 * @throws {PasswordError} if the password can't be used
 */
export async function hashPassword(stopped: Promise<unknown>): Promise<number> {
  const password = Deno.stdin.isTerminal() ? await ask(stopped) : await Promise.race([piped(), ended(stopped)]);
  if (password === undefined) return 1;
  writeOut(`${await makeScryptHash(password)}\n`);
  return 0;
}

async function ask(stopped: Promise<unknown>): Promise<string | undefined> {
  using input = new HiddenInput();
  const first = await Promise.race([input.line("Password: "), ended(stopped)]);
  if (first === undefined) return undefined;
  const password = checked(first);
  const second = await Promise.race([input.line("Again: "), ended(stopped)]);
  if (second === undefined) return undefined;
  if (second !== first) throw new PasswordError("the two passwords differ");
  return password;
}

/** Standard input without the end of its line. */
async function piped(): Promise<string> {
  const bytes = await new Response(Deno.stdin.readable).bytes();
  return checked(decode(bytes).replace(/\r?\n$/, ""));
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new PasswordError("the password is not UTF-8");
  }
}

/** The password in Unicode's form C, in which clients send it (RFC 7617 section 2.1). */
function checked(typed: string): string {
  const password = typed.normalize("NFC");
  if (password === "") throw new PasswordError("the password is empty");
  // deno-lint-ignore no-control-regex -- clients can't send these (RFC 7617 section 2)
  if (/[\0-\x1f\x7f]/.test(password)) {
    throw new PasswordError("the password has a control character or several lines, which no client can send");
  }
  if (new TextEncoder().encode(password).length > MOST_BYTES) {
    throw new PasswordError(`the password is longer than ${MOST_BYTES} bytes`);
  }
  return password;
}

async function ended(stopped: Promise<unknown>): Promise<undefined> {
  await stopped;
}
