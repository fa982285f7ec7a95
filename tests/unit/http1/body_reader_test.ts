import { assertEquals } from "@std/assert";
import { CHUNKED, UNTIL_CLOSE } from "../../../src/http1/body.ts";
import { bodyReader } from "../../../src/http1/body_reader.ts";
import { latin1 } from "../../support/http1_stream.ts";

Deno.test("bodyReader() reads as many bytes as the framing says, and none of what comes after", () => {
  const bytes = latin1("5\r\nhello\r\n0\r\n\r\nnext");
  const table = [
    [{ kind: "length", bytes: 0 }, 0, 0, true],
    [{ kind: "length", bytes: 7 }, 7, 7, true],
    [{ kind: "length", bytes: 30 }, 19, 19, false],
    [CHUNKED, 15, 5, true],
    [UNTIL_CLOSE, 19, 19, false],
  ] as const;
  for (const [framing, end, dataBytes, done] of table) {
    for (const step of [1, 4, bytes.length]) {
      const reader = bodyReader(framing, 100);
      let at = 0;
      let told = 0;
      while (at < bytes.length && !reader.done) {
        at = reader.read(bytes, at, Math.min(bytes.length, at + step), (_, from, to) => {
          told += to - from;
        });
      }
      const read = { at, told, dataBytes: reader.dataBytes, done: reader.done };
      assertEquals(read, { at: end, told: dataBytes, dataBytes, done }, `${framing.kind} by ${step}`);
    }
  }
});
