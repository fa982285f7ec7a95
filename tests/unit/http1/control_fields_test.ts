import { assertEquals } from "@std/assert";
import { NO_BODY } from "../../../src/http1/body.ts";
import { controlFields } from "../../../src/http1/control_fields.ts";
import { assertMalformed } from "../../support/malformed.ts";

const NOTHING = {
  framing: undefined,
  host: undefined,
  close: false,
  keepAlive: false,
  upgrade: false,
  protocol: undefined,
};

Deno.test("controlFields() picks its fields out of all, in any case, and no others of the same length or letter", () => {
  assertEquals(controlFields([], 1, "client"), NOTHING);
  const others = ["Hast", "Etag", "Updated", "Trailer", "User-Agent", "Collection", "Content-Lenght", "Sec-Fetch-Mode"];
  const fields = [...others, "Content-Type", "Transfer-Encodinh", "X-Forwarded-Proto"]
    .map((name): [string, string] => [name, "close"]);
  assertEquals(controlFields(fields, 1, "client"), NOTHING);
  for (const spelled of [(name: string) => name, (name: string) => name.toUpperCase()]) {
    assertEquals(
      controlFields(
        [
          [spelled("host"), "h"],
          [spelled("connection"), "Keep-Alive"],
          [spelled("content-length"), "0"],
          [spelled("upgrade"), "x"],
        ],
        1,
        "client",
      ),
      { ...NOTHING, host: "h", keepAlive: true, framing: NO_BODY, protocol: "x" },
    );
  }
});

Deno.test("controlFields() reads the options of all Connection fields together", () => {
  const options = (...values: string[]) => {
    const { close, keepAlive, upgrade } = controlFields(values.map((value) => ["Connection", value]), 1, "client");
    return { close, keepAlive, upgrade };
  };
  assertEquals(options("close"), { close: true, keepAlive: false, upgrade: false });
  assertEquals(options("x, ,\tUpgrade\t,", "KEEP-ALIVE"), { close: false, keepAlive: true, upgrade: true });
  assertEquals(options("close", "keep-alive", "upgrade"), { close: true, keepAlive: true, upgrade: true });
  for (const value of ["", "closed", "x-close", "close\xa0", "close x", '"close"', "keep-alive;close"]) {
    assertEquals(options(value), { close: false, keepAlive: false, upgrade: false }, value);
  }
});

Deno.test("controlFields() refuses what may stand once and stands twice, alike or not", () => {
  for (const name of ["Host", "Content-Length", "Transfer-Encoding"]) {
    for (const [one, two] of [["5", "5"], ["5", "6"], ["", ""]]) {
      const fields: [string, string][] = [[name, one ?? ""], ["X", ""], [name.toUpperCase(), two ?? ""]];
      assertMalformed(() => controlFields(fields, 1, "client"), /more than one|Content-Length/, name);
    }
  }
});

// A backend that said its length twice, as some frameworks do behind their server, was 502 though nothing is unclear.
Deno.test("controlFields() reads a server's length said twice, if it is the same", () => {
  const lengths = (...values: string[]) => values.map((value): [string, string] => ["Content-Length", value]);
  for (const values of [["5", "5"], ["5, 5"], ["5", "5,5", "5"]]) {
    assertEquals(controlFields(lengths(...values), 1, "server").framing, { kind: "length", bytes: 5 }, `${values}`);
  }
  for (const values of [["5", "6"], ["5, 6"], ["5,"], ["5", ""], ["", ""]]) {
    assertMalformed(() => controlFields(lengths(...values), 1, "server"), /Content-Length/, `${values}`);
  }
});
