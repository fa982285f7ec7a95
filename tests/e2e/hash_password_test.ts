// `roundhouse hash-password`, piped and in a terminal: the hash alone on standard output, and no password anywhere.

import { assert, assertEquals, assertMatch, assertStringIncludes, fail } from "@std/assert";
import { parsePasswordHash } from "../../src/config/password_hash.ts";
import { matchesScrypt } from "../../src/guards/passwords/scrypt.ts";
import { commandLine, runProgram } from "../support/program.ts";
import { HAS_TERMINALS, inTerminal } from "../support/terminal.ts";
import { waitFor } from "../support/wait.ts";

async function isHashOf(password: string, text: string): Promise<boolean> {
  const hash = parsePasswordHash(text);
  return hash.kind === "scrypt" ? await matchesScrypt(password, hash) : fail(`no hash of scrypt: ${text}`);
}

Deno.test("hash-password, piped, prints the hash of the line, and nothing else", async () => {
  const decomposed = "u\u0308ber alles:1 ";
  const cases: [stdin: string, password: string][] = [
    ["secret", "secret"],
    ["secret\n", "secret"],
    ["secret\r\n", "secret"],
    [`${decomposed}\n`, "über alles:1 "], // clients send Unicode's form C
  ];
  await Promise.all(cases.map(async ([stdin, password]) => {
    const { code, stdout, stderr } = await runProgram(["hash-password"], { stdin });
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^\$scrypt\$[!-~]+\n$/);
    assert(await isHashOf(password, stdout.trimEnd()), JSON.stringify(stdin));
  }));
});

Deno.test("hash-password refuses what no client can send, in one line, with status 1", async () => {
  const cases: [stdin: string, line: string][] = [
    ["", "the password is empty"],
    ["\n", "the password is empty"],
    ["one\ntwo\n", "control character or several lines"],
    ["a\0b", "control character or several lines"],
    ["x".repeat(513), "longer than 512 bytes"],
  ];
  await Promise.all(cases.map(async ([stdin, line]) => {
    const { code, stdout, stderr } = await runProgram(["hash-password"], { stdin });
    assertEquals([code, stdout, stderr.split("\n").length], [1, "", 2], stderr);
    assertStringIncludes(stderr, line);
  }));
});

Deno.test("hash-password takes no password on the command line, where all users of the machine can read it", async () => {
  const { code, stdout, stderr } = await runProgram(["hash-password", "secret"]);
  assertEquals([code, stdout, stderr], [2, "", "roundhouse: unexpected argument secret\nTry roundhouse --help.\n"]);
});

/** Runs it in a terminal, answers its questions, and returns what the terminal has shown. */
async function answered(answers: readonly string[]): Promise<string> {
  await using terminal = inTerminal(commandLine(["hash-password"]), { rows: 20, columns: 200 });
  const questions = ["Password: ", "Again: "];
  for (const [at, answer] of answers.entries()) {
    const question = questions[at] ?? "";
    await waitFor(() => terminal.stdout.includes(question), { what: question, timeoutMs: 30_000 });
    await terminal.type(answer);
  }
  assertEquals(await terminal.ended(), 0);
  const [before, after] = terminal.stdout.match(/^[0-9a-f:]{40,}\r$/gm) ?? [];
  assert(before !== undefined && before === after, "the terminal is as it was");
  return terminal.stdout;
}

Deno.test({
  name: "hash-password in a terminal asks twice and shows nothing of what is typed; keys erase",
  ignore: !HAS_TERMINALS,
  fn: async () => {
    const shown = await answered(["wrong\x15secrex\x7ft\r", "secret\r"]);
    assertMatch(shown, /status 0\r/);
    for (const typed of ["secre", "wrong", "*"]) assert(!shown.includes(typed), shown);
    assert(await isHashOf("secret", /^\$scrypt\$[!-~]+/m.exec(shown)?.[0] ?? ""));
  },
});

Deno.test({
  name: "hash-password in a terminal ends without a hash if the two differ, or at Ctrl-C and Ctrl-D",
  ignore: !HAS_TERMINALS,
  fn: async () => {
    const cases: [answers: string[], shown: RegExp][] = [
      [["secret\r", "Secret\r"], /the two passwords differ\r\nstatus 1\r/],
      [["\r"], /the password is empty\r\nstatus 1\r/],
      [["secr\x03"], /status 1\r/],
      [["secret\r", "secr\x03"], /status 1\r/],
      [["\x04"], /status 1\r/],
    ];
    await Promise.all(cases.map(async ([answers, expected]) => {
      const shown = await answered(answers);
      assertMatch(shown, expected);
      assert(!/secr|scrypt/i.test(shown), shown);
    }));
  },
});
